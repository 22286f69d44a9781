"""Folders of LabelMe's annotations."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.reading import Reading

SETS = [["cat"], ["cat", "dog"], ["fox"], []]
COUNTS = {"cat": 2, "dog": 1, "fox": 1}

Annotate = Callable[[list[str]], dict[str, Any]]


def shapes(labels: list[str]) -> dict[str, Any]:
    return {"flags": {}, "shapes": [{"label": label, "points": [[1, 2], [3, 4]]} for label in labels]}


def flags(labels: list[str]) -> dict[str, Any]:
    return {"flags": {label: label in labels for label in COUNTS}, "shapes": []}


def write(folder: Path, annotate: Annotate, image: str = "p{}.jpg", place: str = "annotations") -> tuple[Path, Path]:
    (folder / "images").mkdir()
    (folder / place).mkdir(exist_ok=True, parents=True)
    for number, labels in enumerate(SETS):
        (folder / "images" / f"p{number}.jpg").touch()
        content = {"version": "5.2.1", **annotate(labels), "imagePath": image.format(number), "imageData": None}
        (folder / place / f"p{number}.json").write_text(json.dumps(content))
    return folder / "images", folder / place.split("/")[0]


def counts(dataset: Dataset) -> dict[str, int]:
    return dict(zip(dataset.classes, dataset.labels.sum(axis=0).tolist(), strict=True))


@pytest.mark.parametrize("annotate", [shapes, flags])
@pytest.mark.parametrize(
    ("image", "place"),
    [("p{}.jpg", "images"), ("..\\images\\p{}.jpg", "annotations"), ("../../images/p{}.jpg", "annotations/one")],
)
def test_shapes_and_flags_are_labels(tmp_path: Path, annotate: Annotate, image: str, place: str) -> None:
    dataset = read_dataset(*write(tmp_path, annotate, image, place))
    assert counts(dataset) == COUNTS and len(dataset.files) == 4 and not dataset.absent()


def test_shapes_beside_flags_need_a_choice(tmp_path: Path) -> None:
    def both(labels: list[str]) -> dict[str, Any]:
        return {**shapes(labels), "flags": {"blurred": not labels, "sharp": bool(labels)}}

    images, labels = write(tmp_path, both)
    with pytest.raises(ConfigError, match="no column of labels among image, shapes, flags .*; name it by data.columns"):
        read_dataset(images, labels)
    assert counts(read_dataset(images, labels, reading=Reading(labels=("shapes",)))) == COUNTS
    assert counts(read_dataset(images, labels, reading=Reading(labels=("flags",)))) == {"blurred": 1, "sharp": 3}


@pytest.mark.parametrize("text", ["{}", "[]", '{"imagePath": "a.jpg", "shapes": [{}]}'])
def test_other_json_is_refused(tmp_path: Path, text: str) -> None:
    images, labels = write(tmp_path, shapes)
    (labels / "odd.json").write_text(text)
    with pytest.raises(ConfigError, match="odd.json: is not an annotation of LabelMe"):
        read_dataset(images, labels)
