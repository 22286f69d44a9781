"""Exports of annotation programs as JSON: from one object for each image to a column for each question.

A column has the name of the question, and holds the labels of the image; ``data.columns.labels`` chooses among several.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thaw.trainables.data.label_files import looks_like_image
from thaw.trainables.data.names import decoded
from thaw.trainables.data.records import record_columns


class ExportError(ValueError):
    """An export that cannot be read; the message has the fix."""


Flat = list[dict[str, Any]]
"""Rows of a table: column → value. An image may have several."""


def label_studio(task: dict[str, Any]) -> Flat:
    """A task of Label Studio (JSON). Each annotation is a row, so that annotators who disagree are noticed.

    A task that nobody has annotated has no row: that it has no label is not known.
    """
    texts = [value for value in task["data"].values() if isinstance(value, str)]
    images = [text for text in texts if looks_like_image(decoded(text))] or texts
    if len(images) != 1:
        raise ExportError(f"'data' must name one image, got {len(images)}")
    rows: Flat = []
    for annotation in task["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        row: dict[str, Any] = {"image": images[0]}
        for result in annotation["result"]:
            kind, question = result["type"], result.get("from_name")
            if kind == "choices" or kind.endswith("labels"):
                row[question] = [*row.get(question, []), *result["value"][kind]]
            elif question:
                row[question] = result["value"]
        rows.append(row)
    return rows


def sagemaker(line: dict[str, Any]) -> Flat:
    """A line of a manifest of SageMaker Ground Truth: labels are numbers, their names are beside them.

    A line without labels, such as one whose job failed, has no row.
    """
    row: dict[str, Any] = {"image": line["source-ref"]}
    for name, value in line.items():
        about = line.get(f"{name}-metadata")
        if not isinstance(about, dict):
            continue
        names = about.get("class-map", {})
        if "class-name" in about:
            row[name] = str(about["class-name"])
        elif isinstance(value, list):
            row[name] = [names[str(number)] for number in value]
        elif isinstance(value, dict) and "annotations" in value:
            row[name] = [names[str(box["class_id"])] for box in value["annotations"]]
    return [row] if len(row) > 1 else []


def _check_numbers(lines: Sequence[dict[str, Any]]) -> None:
    """A name must stand for one number: 0 may mean that the label is absent."""
    numbers: dict[tuple[str, str], Any] = {}
    for line in lines:
        for name, value in line.items():
            about = line.get(f"{name}-metadata")
            if isinstance(about, dict) and "class-name" in about:
                known = numbers.setdefault((name, str(about["class-name"])), value)
                if known != value:
                    raise ExportError(
                        f"{about['class-name']!r} of {name!r} stands for {known} and for {value}; remove the lines in "
                        "which it means that the image lacks the label"
                    )


def labelbox(line: dict[str, Any]) -> Flat:
    """A line of Labelbox's export: each label of each project is a row, with a column for objects and each question."""
    rows: Flat = []
    for project in line["projects"].values():
        for label in project["labels"]:
            row: dict[str, Any] = {"image": line["data_row"]["external_id"]}
            annotations = label["annotations"]
            if annotations.get("objects"):
                row["objects"] = [thing["name"] for thing in annotations["objects"]]
            for question in annotations.get("classifications", []):
                answers = [*question.get("checklist_answers", []), *filter(None, [question.get("radio_answer")])]
                row[question["name"]] = [answer["name"] for answer in answers]
            rows.append(row)
    return rows


def via(entry: dict[str, Any]) -> Flat:
    """An image of VGG Image Annotator: a column for each attribute of the file or of its regions."""
    row: dict[str, Any] = {"image": entry["filename"]}
    regions = entry["regions"]
    for attributes in (
        entry["file_attributes"],
        *(region["region_attributes"] for region in (regions.values() if isinstance(regions, dict) else regions)),
    ):
        for name, value in attributes.items():
            # A checkbox gives {"cat": true}, anything else a text.
            values = [key for key, checked in value.items() if checked] if isinstance(value, dict) else [value]
            row[name] = [*row.get(name, []), *filter(None, values)]
    return [row]


def via_csv(columns: Mapping[str, Sequence[str]]) -> dict[str, Sequence[str]]:
    """The table that VGG Image Annotator writes as CSV, one row for each region, as one row for each image.

    Raises:
        ExportError: a cell of attributes is not JSON.
    """
    images: dict[str, dict[str, Any]] = {}
    for file, of_file, of_region in zip(*(columns[name] for name in VIA_CSV), strict=True):
        try:
            both = [json.loads(of_file), json.loads(of_region)]
        except ValueError as error:
            raise ExportError(f"the attributes of {file} are not JSON ({error}); export the table again") from None
        if not all(isinstance(attributes, dict) for attributes in both):
            raise ExportError(
                f"the attributes of {file} must be objects, got {of_file} and {of_region}; export it again"
            )
        attributes, region = both[0], {"region_attributes": both[1]}
        images.setdefault(file, {"filename": file, "file_attributes": attributes, "regions": []})["regions"].append(
            region
        )
    return record_columns([row for entry in images.values() for row in via(entry)])


VIA_CSV = ("filename", "file_attributes", "region_attributes")
"""Headings by which a table of VGG Image Annotator is recognised."""

VIA_IMAGES = "_via_img_metadata"
"""The key of the images in a project of VGG Image Annotator; its annotations alone are exported without it."""

EXPORTS: dict[str, tuple[frozenset[str], Callable[[dict[str, Any]], Flat]]] = {
    "Label Studio": (frozenset(("data", "annotations")), label_studio),
    "SageMaker Ground Truth": (frozenset(("source-ref",)), sagemaker),
    "Labelbox": (frozenset(("data_row", "projects")), labelbox),
    "VGG Image Annotator": (frozenset(("filename", "regions", "file_attributes")), via),
}
"""Program → the keys by which its objects are recognised, and the rows of an object."""


def export_columns(records: Sequence[dict[str, Any]]) -> tuple[dict[str, Sequence[str]], str] | None:
    """Key → cells, and the program whose export this is; None if it is of none.

    Raises:
        ExportError: an object is not as this program writes it.
    """
    for program, (keys, rows_of) in EXPORTS.items():
        if not all(keys <= record.keys() for record in records):
            continue
        rows: Flat = []
        for number, record in enumerate(records, 1):
            try:
                rows += rows_of(record)
            except (KeyError, TypeError, AttributeError, ValueError) as error:
                what = error if isinstance(error, ExportError) else f"{type(error).__name__}: {error}"
                raise ExportError(
                    f"object {number} is not as {program} exports it ({what}); export it again, or as a table"
                ) from None
        if rows_of is sagemaker:
            _check_numbers(records)
        if not rows:
            raise ExportError(f"no image of this export of {program} is annotated; annotate images first")
        return record_columns(rows), program
    return None
