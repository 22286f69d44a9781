"""Exports of annotation programs, as those programs write them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.reading import Reading

DOCS = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
FILES = [f"p{number:02d}.jpg" for number in range(24)]
SETS = [["cat"], ["cat", "dog"], ["fox"], []] * 6
PAIRS = list(zip(FILES, SETS, strict=True))
COUNTS = {"cat": 12, "dog": 6, "fox": 6}
LABELS = ["cat", "dog", "fox"]

Write = Callable[[str, list[str]], Any]


def task(file: str, labels: list[str], question: str = "choice") -> dict[str, Any]:
    """A task of Label Studio. Its counters are 0 and 1, like columns of labels."""
    value = {"choices": labels}
    result = [{"id": "Ab3", "type": "choices", "value": value, "to_name": "image", "from_name": question}]
    annotation = {"id": 100, "completed_by": 1, "result": result if labels else [], "was_cancelled": False}
    return {
        "id": 1,
        "annotations": [annotation],
        "file_upload": f"3f2a9c1b-{file}",
        "predictions": [],
        "data": {"image": f"/data/upload/1/3f2a9c1b-{file}"},
        "total_annotations": 1,
        "cancelled_annotations": 0,
        "total_predictions": 0,
        "comment_count": 0,
        "project": 1,
    }


def boxed_task(file: str, labels: list[str]) -> dict[str, Any]:
    made = task(file, [])
    box = {"x": 1.5, "y": 2.0, "width": 9.0, "height": 8.0, "rotation": 0}
    made["annotations"][0]["result"] = [
        {"id": "x", "type": "rectanglelabels", "from_name": "label", "value": {**box, "rectanglelabels": [label]}}
        for label in labels
    ]
    return made


def minimal(file: str, labels: list[str]) -> dict[str, Any]:
    choice = labels[0] if len(labels) == 1 else {"choices": labels}
    return {"image": f"/data/upload/1/3f2a9c1b-{file}", "id": 4, "choice": choice, "annotator": 1, "lead_time": 3.4}


def manifest(file: str, labels: list[str]) -> dict[str, Any]:
    numbers = [LABELS.index(label) for label in labels]
    about = {
        "class-map": {str(n): label for n, label in zip(numbers, labels, strict=True)},
        "type": "groundtruth/image-classification-multilabel",
        "confidence-map": {str(number): 0.9 for number in numbers},
    }
    return {"source-ref": f"s3://bucket/x/{file}", "animals": numbers, "animals-metadata": about}


def labelbox(file: str, labels: list[str]) -> dict[str, Any]:
    answers = [{"name": label, "value": label, "classifications": []} for label in labels]
    annotations = {"objects": [], "classifications": [{"name": "animal", "checklist_answers": answers}]}
    project = {"name": "zoo", "labels": [{"id": "l1", "annotations": annotations}]}
    return {"data_row": {"id": "c1", "external_id": file}, "projects": {"p1": project}}


def via(file: str, labels: list[str]) -> dict[str, Any]:
    shape = {"name": "rect", "x": 1, "y": 2, "width": 3, "height": 4}
    regions = [{"shape_attributes": shape, "region_attributes": {"class": label}} for label in labels]
    return {"filename": file, "size": 1234, "regions": regions, "file_attributes": {}}


def createml(file: str, labels: list[str]) -> dict[str, Any]:
    place = {"x": 1, "y": 2, "width": 3, "height": 4}
    return {"image": file, "annotations": [{"label": label, "coordinates": place} for label in labels]}


def custom_vision(file: str, labels: list[str]) -> dict[str, Any]:
    tags = [{"tagId": "t", "tagName": label, "created": "2024-01-01"} for label in labels]
    return {"id": "g1", "width": 32, "originalImageUri": f"https://x.blob.core.windows.net/i/{file}", "tags": tags}


def vertex(file: str, labels: list[str]) -> dict[str, Any]:
    uses = {"aiplatform.googleapis.com/ml_use": "training"}
    named = [{"displayName": label} for label in labels]
    return {"imageGcsUri": f"gs://bucket/{file}", "classificationAnnotations": named, "dataItemResourceLabels": uses}


def as_list(write: Write) -> str:
    return json.dumps([write(file, labels) for file, labels in PAIRS], indent=1)


def as_lines(write: Write) -> str:
    return "\n".join(json.dumps(write(file, labels)) for file, labels in PAIRS)


def as_map(write: Write) -> str:
    return json.dumps({f"{file}1234": write(file, labels) for file, labels in PAIRS})


def as_table(rows: Sequence[dict[str, Any]]) -> str:
    text = io.StringIO()
    table = csv.DictWriter(text, list(rows[0]))
    table.writeheader()
    table.writerows({key: json.dumps(v) if isinstance(v, dict) else v for key, v in row.items()} for row in rows)
    return text.getvalue()


def via_rows(file: str, labels: list[str]) -> list[dict[str, Any]]:
    count = len(labels)
    rows = [{"region_id": n, "region_attributes": {"class": label}} for n, label in enumerate(labels)]
    empty = [{"region_id": 0, "region_attributes": {}}]
    return [{"filename": file, "file_attributes": {}, "region_count": count, **row} for row in rows or empty]


def read(folder: Path, name: str, text: str, reading: Reading | None = None) -> Dataset:
    (folder / "images").mkdir()
    for file in FILES:
        (folder / "images" / file).touch()
    (folder / name).write_text(text, encoding="utf-8")
    return read_dataset(folder / "images", folder / name, reading=reading)


def counts(dataset: Dataset) -> dict[str, int]:
    return dict(zip(dataset.classes, dataset.labels.sum(axis=0).tolist(), strict=True))


@pytest.mark.parametrize(
    ("program", "name", "text"),
    [
        ("Label Studio: JSON, JSON-MIN, CSV", "project-1.json", as_list(task)),
        ("Label Studio: JSON, JSON-MIN, CSV", "boxes.json", as_list(boxed_task)),
        ("Label Studio: JSON, JSON-MIN, CSV", "min.json", as_list(minimal)),
        ("Label Studio: JSON, JSON-MIN, CSV", "a.csv", as_table([minimal(*pair) for pair in PAIRS])),
        ("SageMaker Ground Truth: manifest", "output.manifest", as_lines(manifest)),
        ("Labelbox: NDJSON", "export.ndjson", as_lines(labelbox)),
        ("VGG Image Annotator: project, JSON, CSV", "via.json", as_map(via)),
        ("VGG Image Annotator: project, JSON, CSV", "p.json", f'{{"_via_img_metadata": {as_map(via)}, "_via_ui": 1}}'),
        (
            "VGG Image Annotator: project, JSON, CSV",
            "via.csv",
            as_table([row for pair in PAIRS for row in via_rows(*pair)]),
        ),
        ("CreateML: JSON", "a.json", as_list(createml)),
        ("Azure Custom Vision: tagged images as JSON", "a.json", as_list(custom_vision)),
        ("Vertex AI: JSON lines", "a.jsonl", as_lines(vertex)),
    ],
)
def test_an_export_is_read(tmp_path: Path, program: str, name: str, text: str) -> None:
    dataset = read(tmp_path, name, text)
    assert counts(dataset) == COUNTS and list(dataset.files) == FILES and not dataset.absent()
    assert f"| {program} | read" in DOCS


def test_tasks_that_nobody_annotated_are_not_used(tmp_path: Path) -> None:
    tasks = [task(*pair) for pair in PAIRS]
    tasks[0]["annotations"] = []
    tasks[4]["annotations"][0]["was_cancelled"] = True
    dataset = read(tmp_path, "a.json", json.dumps(tasks))
    assert counts(dataset) == {**COUNTS, "cat": 10} and dataset.unlisted() == ["p00.jpg", "p04.jpg"]


def test_annotators_who_disagree_are_noticed(tmp_path: Path) -> None:
    tasks = [task(*pair) for pair in PAIRS]
    tasks[0]["annotations"] += task(FILES[0], ["dog"])["annotations"]
    tasks[1]["annotations"] *= 2
    dataset = read(tmp_path, "a.json", json.dumps(tasks))
    assert dataset.rejected == (("p00.jpg", "rows with contradicting labels"),)


def test_questions_are_columns(tmp_path: Path) -> None:
    tasks = [task(file, labels or ["none"], "animal") for file, labels in PAIRS]
    for number, one in enumerate(tasks):
        one["annotations"][0]["result"] += task("", [["sharp"], ["blurred"]][number % 2], "quality")["annotations"][0][
            "result"
        ]
    with pytest.raises(ConfigError, match="no column of labels among image, animal, quality .*; name it by"):
        read(tmp_path, "a.json", json.dumps(tasks))
    reading = Reading(labels=("quality",))
    dataset = read_dataset(tmp_path / "images", tmp_path / "a.json", reading=reading)
    assert counts(dataset) == {"blurred": 12, "sharp": 12}


def test_failed_lines_of_a_manifest_are_not_used(tmp_path: Path) -> None:
    lines = [manifest(*pair) for pair in PAIRS]
    lines[0] = {"source-ref": lines[0]["source-ref"], "animals-metadata": {"failure-reason": "timeout"}}
    dataset = read(tmp_path, "output.manifest", "\n".join(map(json.dumps, lines)))
    assert dataset.unlisted() == ["p00.jpg"] and counts(dataset)["cat"] == 11


def test_a_class_name_must_stand_for_one_number(tmp_path: Path) -> None:
    about = {"class-name": "cat", "type": "groundtruth/image-classification"}
    lines = [{"source-ref": f"s3://b/{file}", "cat": n % 2, "cat-metadata": about} for n, file in enumerate(FILES)]
    with pytest.raises(ConfigError, match="'cat' of 'cat' stands for 0 and for 1; remove the lines"):
        read(tmp_path, "output.manifest", "\n".join(map(json.dumps, lines)))


@pytest.mark.parametrize("cell", ["3", "{"])
def test_attributes_that_are_no_objects_are_refused(tmp_path: Path, cell: str) -> None:
    rows = [{"filename": file, "file_attributes": {}, "region_attributes": cell} for file in FILES]
    with pytest.raises(ConfigError, match="the attributes of p00.jpg .* export"):
        read(tmp_path, "via.csv", as_table(rows))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (as_list(lambda f, _: {"image": f, "labels": [{"label": "cat", "score": 0.1}]}), "holds nested values"),
        (as_list(lambda f, _: {"image": f, "labels": [{"name": "colour", "value": "red"}]}), "holds nested values"),
        (as_list(lambda f, _: {**task(f, []), "annotations": []}), "no image of this export of Label Studio is"),
        (as_list(lambda f, _: {**task(f, []), "annotations": [{}]}), "object 1 is not as Label Studio exports it"),
        (as_list(lambda f, _: {**task(f, []), "data": {"a": f, "b": f}}), "'data' must name one image, got 2"),
    ],
)
def test_other_objects_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, "a.json", text)
