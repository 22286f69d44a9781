"""Folders of YOLO's annotations."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset

BOX = "{} 0.5 0.5 0.1 0.2\n"
LINES = ["0 0.5 0.5 0.1 0.2\n", "0 0.5 0.5 0.1 0.2\n1 0.1 0.1 0.2 0.1 0.2 0.2\n", "2 1 0 1e-3 .5\n", ""]
COUNTS = {"cat": 2, "dog": 1, "fox": 1}
SETTINGS = "train: images\nnc: 3\nnames: ['cat', 'dog', 'fox']\n"


def write(folder: Path, files: Mapping[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def counts(dataset: Dataset) -> dict[str, int]:
    return dict(zip(dataset.classes, dataset.labels.sum(axis=0).tolist(), strict=True))


def annotated(images: str, labels: str) -> dict[str, str]:
    """Four images and their annotations, in folders that may depend on the number."""
    names = [(images.format(n=n), labels.format(n=n)) for n in range(4)]
    return {f"{image}/p.{n}.jpg": "" for n, (image, _) in enumerate(names)} | {
        f"{place}/p.{n}.txt": LINES[n] for n, (_, place) in enumerate(names)
    }


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("data.yaml", SETTINGS),
        ("data.yaml", "names:\n  0: cat\n  1: dog\n  2: fox\n"),
        ("labels/classes.txt", "cat\ndog\nfox\n"),
    ],
)
def test_classes_are_named_by_the_file_nearby(tmp_path: Path, name: str, text: str) -> None:
    write(tmp_path, annotated("images", "labels") | {name: text})
    dataset = read_dataset(tmp_path / "images", tmp_path / "labels")
    assert counts(dataset) == COUNTS and len(dataset.files) == 4 and not dataset.absent()
    assert any(f"named by {tmp_path / name}" in note for note in dataset.notes)


def test_classes_without_names_are_numbers_with_a_note(tmp_path: Path) -> None:
    write(tmp_path, annotated("images", "labels") | {"names.txt": "cat\ndog\nfox\n"})
    dataset = read_dataset(tmp_path / "images", tmp_path / "labels")
    assert counts(dataset) == {"0": 2, "1": 1, "2": 1} and "have no names; let data.classes" in " ".join(dataset.notes)
    dataset = read_dataset(tmp_path / "images", tmp_path / "labels", classes=tmp_path / "names.txt")
    assert counts(dataset) == COUNTS


@pytest.mark.parametrize("root", ["", "labels"])
def test_folders_of_parts_are_the_split(tmp_path: Path, root: str) -> None:
    """As Roboflow and Ultralytics write them."""
    parts = ["train", "train", "valid", "test"]
    files: dict[str, str] = {"data.yaml": SETTINGS, "README.roboflow.txt": "A data set."}
    for number, part in enumerate(parts):
        image, label = (f"images/{part}", f"labels/{part}") if root else (f"{part}/images", f"{part}/labels")
        files |= {f"{image}/p{number}.jpg": "", f"{label}/p{number}.txt": LINES[number]}
    write(tmp_path, files)
    dataset = read_dataset(tmp_path / ("images" if root else ""), tmp_path / root)
    assert counts(dataset) == COUNTS and not dataset.absent() and dataset.parts is not None
    found = {Path(file).stem: part for file, part in zip(dataset.files, dataset.parts.tolist(), strict=True)}
    assert found == {"p0": 0, "p1": 0, "p2": 1, "p3": 2}


def test_an_image_without_a_file_is_not_used(tmp_path: Path) -> None:
    write(tmp_path, annotated("images", "labels") | {"images/new.jpg": ""})
    assert read_dataset(tmp_path / "images", tmp_path / "labels").unlisted() == ["new.jpg"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels/p.9.txt", "0 0.5 0.5 0.1 0.2 0.93\n", "p.9.txt: line 1 has a score, as predictions have"),
        ("labels/p.9.txt", "0 .1 .1 .1 .1\ncat .1 .1 .1 .1\n", "line 2 must be a class number and positions, got 'cat"),
        ("labels/p.9.txt", "photo p.9\n", "line 1 must be a class number and positions"),
        ("labels/p.9.txt", "3 .1 .1 .1 .1\n", "label '3' is not listed"),
        ("labels/classes.txt", "cat\n\nfox\n", "classes.txt: must give each class a name of its own"),
        ("labels/classes.txt", "cat\ndog\ncat\n", "classes.txt: must give each class a name of its own"),
    ],
)
def test_other_text_is_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    write(tmp_path, annotated("images", "labels") | {"data.yaml": SETTINGS, name: text})
    with pytest.raises(ConfigError, match=message):
        read_dataset(tmp_path / "images", tmp_path / "labels")
