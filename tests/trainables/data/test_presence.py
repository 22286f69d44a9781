"""Tables that say by marks or words in a column for each label whether an image has it."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest

from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.presence import PAIRS
from thaw.trainables.data.reading import Reading

LABELS = ["cat", "dog", "fox"]
SETS = [{"cat"}, {"cat", "dog"}, {"fox"}, set()] * 6
COUNTS = {"cat": 12, "dog": 6, "fox": 6}


def marked(pair: tuple[str, str]) -> list[list[str]]:
    """The cells of the columns of `LABELS`, a row for each image."""
    return [[pair[label not in labels] for label in LABELS] for labels in SETS]


def read(folder: Path, cells: list[list[str]], header: list[str] = LABELS, reading: Reading | None = None) -> Dataset:
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["file", *header], *([f"p{n:02d}.jpg", *row] for n, row in enumerate(cells))])
    return read_dataset(folder, folder / "labels.csv", reading=reading)


def counts(dataset: Dataset) -> dict[str, int]:
    return dict(zip(dataset.classes, dataset.labels.sum(axis=0).tolist(), strict=True))


@pytest.mark.parametrize("pair", PAIRS, ids=" ".join)
def test_every_pair_is_read_in_any_case_with_a_note(tmp_path: Path, pair: tuple[str, str]) -> None:
    cells = [[cell.upper() if number % 2 else f" {cell}" for cell in row] for number, row in enumerate(marked(pair))]
    dataset = read(tmp_path, cells)
    assert counts(dataset) == COUNTS and len(dataset.files) == 24
    assert any("labels are the columns cat, dog, fox, which hold" in note for note in dataset.notes)


def test_every_word_means_the_same_in_all_pairs() -> None:
    present, absent = ({pair[side] for pair in PAIRS} for side in (0, 1))
    assert not present & absent


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({(3, 1): "?"}, "column 'dog' must be 'x' or blank, got '?' in row 5"),
        ({(1, 0): "x (blurred)"}, "column 'cat' must be 'x' or blank, got 'x (blurred)' in row 3"),
        ({(n, 1): "✓" if "dog" in labels else "" for n, labels in enumerate(SETS)}, "'cat' ('x' or blank) and 'dog'"),
        ({(n, 1): str(int("dog" in labels)) for n, labels in enumerate(SETS)}, "'cat' holds 'x' or blank beside 0/1"),
        ({(n, i): "o" for n in range(24) for i in range(3) if not marked(("x", ""))[n][i]}, "no column of labels"),
    ],
    ids=["question mark", "remark", "another pair", "0 and 1", "x and o"],
)
def test_anything_else_than_one_pair_is_refused(
    tmp_path: Path, changes: dict[tuple[int, int], str], message: str
) -> None:
    cells = marked(("x", ""))
    for (row, column), cell in changes.items():
        cells[row][column] = cell
    with pytest.raises(ConfigError, match=re.escape(message)):
        read(tmp_path, cells)


def test_blank_is_no_word_for_absent_beside_words(tmp_path: Path) -> None:
    cells = marked(("ja", "nein"))
    cells[6][2] = ""
    with pytest.raises(ConfigError, match=r"'fox' must be 'ja' or 'nein', got '' in row 8"):
        read(tmp_path, cells)


def test_blank_columns_and_remarks_are_no_labels_and_words_for_absent_alone_are(tmp_path: Path) -> None:
    cells = [[*row, "", "blurred" if row[0] else ""] for row in marked(("x", ""))]
    assert counts(read(tmp_path, cells, [*LABELS, "empty", "comment"])) == COUNTS
    cells = [[*row, "no"] for row in marked(("sí", "no"))]
    assert counts(read(tmp_path, cells, [*LABELS, "wolf"])) == {**COUNTS, "wolf": 0}


def test_named_columns_hold_a_pair_too(tmp_path: Path) -> None:
    """Before, ja and nein were the labels."""
    reading = Reading(labels=("cat", "dog"))
    assert counts(read(tmp_path, marked(("ja", "nein")), reading=reading)) == {"cat": 12, "dog": 6}
    one = read(tmp_path, marked(("ja", "nein")), reading=Reading(labels=("cat",)))
    assert counts(one) == {"ja": 12, "nein": 12}


def test_words_beside_0_1_columns_may_be_facts_about_the_image(tmp_path: Path) -> None:
    cells = [[*row, "oui" if number % 3 else "non"] for number, row in enumerate(marked(("1", "0")))]
    dataset = read(tmp_path, cells, [*LABELS, "fumeur"])
    assert counts(dataset) == COUNTS and "columns not used as labels: fumeur" in dataset.notes


@pytest.mark.parametrize(("pair", "written"), [(("ja", "nein"), "nein"), (("x", ""), "blank")])
def test_rows_of_absent_labels_are_refused(tmp_path: Path, pair: tuple[str, str], written: str) -> None:
    cells = [["ab"[number % 2], pair[number % 3 == 0]] for number in range(24)]
    with pytest.raises(ConfigError, match=f"column 'present' is {written} in 8 rows, .* lack the label"):
        read(tmp_path, cells, ["label", "present"])


def test_rejected_answers_are_refused(tmp_path: Path) -> None:
    """As Prodigy writes them: a rejected answer means that the image lacks the label."""
    cells = [["ab"[number % 2], ["accept", "reject", "ignore"][number % 3]] for number in range(24)]
    with pytest.raises(ConfigError, match="column 'answer' is ignore or reject in 16 rows, .* lack the label"):
        read(tmp_path, cells, ["label", "answer"])
    (tmp_path / "accepted").mkdir()
    dataset = read(tmp_path / "accepted", [[label, "accept"] for label, _ in cells], ["label", "answer"])
    assert counts(dataset) == {"a": 12, "b": 12}
