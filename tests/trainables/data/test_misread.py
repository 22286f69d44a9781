"""Label files and folders that were misread, or refused without saying why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from thaw.search.prepare.data_set import data_facts
from thaw.search.settings.config import config_from
from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.reading import Reading

FILES = [f"p{number:02d}.jpg" for number in range(24)]


def read(folder: Path, rows: list[str], files: list[str] = FILES) -> Dataset:
    """The data set of a label file with these rows, and of images with these names, which are empty."""
    (folder / "images").mkdir()
    for name in files:
        (folder / "images" / name).touch()
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return read_dataset(folder / "images", folder / "labels.csv")


@pytest.mark.parametrize("odd", ["?", "u", "unknown"])
@pytest.mark.parametrize("column", [0, 1])
def test_a_wrong_cell_in_a_0_1_column_is_refused_and_loses_no_label(tmp_path: Path, odd: str, column: int) -> None:
    cells = [["1", "0", "0"] if number % 2 else ["0", "1", "1"] for number in range(24)]
    cells[5][column] = odd
    rows = ["file,cat,dog,fox", *(",".join([file, *row]) for file, row in zip(FILES, cells, strict=True))]
    message = f"'{['cat', 'dog'][column]}' must be 0 or 1, got '{odd}' in row 7"
    with pytest.raises(ConfigError, match=re.escape(message)):
        read(tmp_path, rows)


def test_columns_of_other_values_beside_0_1_columns_are_no_wrong_cells(tmp_path: Path) -> None:
    extra = ["0,yes", "1,no", "2,unknown"]
    rows = [f"{file},{number % 2},{1 - number % 2},{extra[number % 3]}" for number, file in enumerate(FILES)]
    dataset = read(tmp_path, ["file,cat,dog,boxes,smoker", *rows])
    assert dataset.classes == ("cat", "dog")


@pytest.mark.parametrize(
    ("header", "cells", "message"),
    [
        ("file,labels", ["\"[{'name': 'cat'}]\"", '"[{""name"": ""dog""}]"'], "'labels' holds nested values"),
        (
            "ImageId,PredictionString",
            ["n01 111 108 441 193", "n02 1 2 3 4 n03 5 6 7 8"],
            "such as 'n01 111 108 441 193'",
        ),
        ("file,cat,dog", ["on,off", "off,on"], "among file, cat, dog ('cat' holds 'off', 'on'); name it by"),
        ("file,boxes,group", ["0,0"], "no image has any of the labels boxes, group"),
        (
            "file,label",
            ["cat", "cat, dog, a fox that looks at us from behind a tree, then a goose"],
            "dog | a fox that",
        ),
    ],
)
def test_cells_that_would_give_wrong_labels_are_refused(
    tmp_path: Path, header: str, cells: list[str], message: str
) -> None:
    rows = [f"{file},{cells[number % len(cells)]}" for number, file in enumerate(FILES)]
    with pytest.raises(ConfigError, match=re.escape(message)):
        read(tmp_path, [header, *rows])


def test_numbered_columns_of_labels_are_refused_until_one_says_which(tmp_path: Path) -> None:
    """Before, the first was used, and images lost labels."""
    rows = [f"{file},{'ab'[number % 2]},{'c' if number % 3 else ''}" for number, file in enumerate(FILES)]
    with pytest.raises(
        ConfigError, match=r"set data.columns.labels: \[label, Label_2\] to use all, or label to use one"
    ):
        read(tmp_path, ["file,label,Label_2", *rows])
    images, labels = tmp_path / "images", tmp_path / "labels.csv"
    assert read_dataset(images, labels, reading=Reading(labels=("label", "Label_2"))).classes == ("a", "b", "c")
    assert read_dataset(images, labels, reading=Reading(labels=("label",))).classes == ("a", "b")


def test_blanks_after_commas_are_not_reported_as_variants(tmp_path: Path) -> None:
    rows = [f"{file}, {'cat' if number % 2 else 'dog'}" for number, file in enumerate(FILES)]
    dataset = read(tmp_path, ["file, label", *rows])
    assert sorted(dataset.classes) == ["cat", "dog"]
    assert not [note for note in dataset.notes if "differ only" in note]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + bytes(50), "Excel.*save the table as CSV"),
        (b"\xd0\xcf\x11\xe0" + bytes(50), "old Excel.*save the table as CSV"),
        (b"\x1f\x8b\x08" + bytes(50), "gzip.*unpack"),
        (b"SQLite format 3\0", "SQLite.*export"),
        (b"%PDF-1.4\n%", "PDF"),
        (b"\x93NUMPY\x01\0", "NumPy"),
        (b"ARROW1\0\0", "Feather"),
    ],
)
def test_files_of_other_programs_are_named_with_the_fix(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_dataset(tmp_path, tmp_path / "labels.csv")


@pytest.mark.parametrize(("written", "stored"), [(".jpeg", ".jpg"), (".jpg", ".JPEG"), (".tif", ".tiff")])
def test_another_extension_of_the_same_format_is_matched_with_a_note(tmp_path: Path, written: str, stored: str) -> None:
    names = [f"p{number}{stored}" for number in range(6)]
    rows = [f"p{number}{written},{'cat' if number % 2 else 'dog'}" for number in range(6)]
    dataset = read(tmp_path, ["file,label", *rows], names)
    assert sorted(dataset.files) == sorted(names)
    assert any("another extension of the same format" in note for note in dataset.notes)


def test_another_format_is_no_match_as_it_may_be_a_mask(tmp_path: Path) -> None:
    rows = [f"p{number}.jpg,{'cat' if number % 2 else 'dog'}" for number in range(6)]
    dataset = read(tmp_path, ["file,label", *rows], [f"p{number}.png" for number in range(6)])
    assert len(dataset.absent()) == 6


def folders(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).mkdir(parents=True)
        (root / name / "a.jpg").touch()
    return root


def test_a_folder_of_masks_beside_labels_gives_a_note(tmp_path: Path) -> None:
    dataset = read_dataset(folders(tmp_path, "cat", "dog", "masks"))
    assert any("masks is read as a label" in note for note in dataset.notes)


@pytest.mark.parametrize(("last", "drawn"), [("test", True), ("val", False)])
def test_a_split_without_validation_images_says_where_they_come_from(tmp_path: Path, last: str, drawn: bool) -> None:
    root = folders(tmp_path, *(f"{part}/{label}" for part in ("train", last) for label in ("cat", "dog")))
    config = config_from({"name": "x", "preset": "transfer", "data": {"images": str(root)}})
    facts = data_facts(config, read_dataset(root))
    assert any("20% of the training images are drawn" in note for note in facts.notes) is drawn
