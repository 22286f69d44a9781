"""CSV files of Google's AutoML."""

from __future__ import annotations

from pathlib import Path

import pytest

from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.splits import given_parts

USES = ["TRAIN", "TRAIN", "VALIDATION", "TEST"]


def read(folder: Path, rows: list[str]) -> Dataset:
    (folder / "images" / "x").mkdir(parents=True)
    for number in range(8):
        (folder / "images" / "x" / f"p{number}.jpg").touch()
    (folder / "labels.csv").write_text("".join(f"{row}\n" for row in rows))
    return read_dataset(folder / "images", folder / "labels.csv")


def counts(dataset: Dataset) -> dict[str, int]:
    return dict(zip(dataset.classes, dataset.labels.sum(axis=0).tolist(), strict=True))


@pytest.mark.parametrize("spelling", [str, str.lower, {"TRAIN": "training"}.get])
def test_uses_are_a_split_and_rows_have_any_number_of_labels(tmp_path: Path, spelling: type[str]) -> None:
    labels = ["cat", 'cat,"bittern, great"', "dog", "cat,dog"]
    uses = [spelling(use) or use.lower() for use in USES]
    dataset = read(tmp_path, [f"{uses[n % 4]},gs://bucket/x/p{n}.jpg,{labels[n % 4]}" for n in range(8)])
    assert counts(dataset) == {"bittern, great": 2, "cat": 6, "dog": 4} and not dataset.absent()
    parts = given_parts(dataset, "ml_use")
    assert parts is not None and parts.tolist() == [0, 0, 1, 2] * 2


@pytest.mark.parametrize("start", ["UNASSIGNED,", ""])
def test_no_split(tmp_path: Path, start: str) -> None:
    rows = [f"{start}gs://bucket/x/p{n}.jpg,{['cat,dog', 'fox'][n % 2]}" for n in range(8)]
    dataset = read(tmp_path, rows)
    assert counts(dataset) == {"cat": 4, "dog": 4, "fox": 4}
    assert any("not usable" in note for note in dataset.notes) is bool(start)


def test_an_image_that_nobody_labelled_is_rejected(tmp_path: Path) -> None:
    rows = [f"TRAIN,gs://bucket/x/p{n}.jpg,{['cat', 'dog', ''][n % 3]}" for n in range(6)]
    dataset = read(tmp_path, rows)
    assert dataset.rejected[0] == ("gs://bucket/x/p2.jpg", "no label in its row") and len(dataset.files) == 4


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("TRAIN,gs://bucket/x/p1.jpg,cat,0.1,0.2,,,.4,1,,", "row 2 holds the positions of a box"),
        ("TRAIN,/home/ana/p1.jpg,cat", "row 2 must be TRAIN,gs://.*got 'TRAIN, /home/ana/p1.jpg, cat'"),
        ('TRAIN,gs://bucket/x/p1.jpg,"cat', "close every quote"),
    ],
)
def test_other_rows_are_refused(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, ["TRAIN,gs://bucket/x/p0.jpg,cat", row])
