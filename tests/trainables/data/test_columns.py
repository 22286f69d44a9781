"""Wide tables give the same data as narrow ones, with one byte per cell."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from thaw.spaces import ConfigError
from thaw.trainables.data import columns
from thaw.trainables.data.columns import EncodedColumn, distinct, numbers_of, read_wide_table
from thaw.trainables.data.dataset import read_dataset
from thaw.trainables.data.reading import Reading


def table(rows: int, cells: str, separator: str = ",", width: int = 70, names: str = "a{}.jpg") -> str:
    generator = random.Random(0)
    head = separator.join(["file", *(f"label {number}" for number in range(width))])
    lines = [separator.join([names.format(n), *generator.choices(cells.split(), k=width)]) for n in range(rows)]
    return "\n".join([head, *lines]) + "\n"


@pytest.mark.parametrize(
    ("text", "uncertain"),
    [
        (table(400, "0 1"), "negative"),
        (table(400, "0 1 -1", ";"), "negative"),
        (table(400, "0.0 1.0 -1.0", "\t"), "positive"),
        (table(400, "0 " * 150 + "1 -1"), "drop"),
        (table(400, "false True nan").replace("nan", ""), "negative"),
        (table(30, "1 -1").replace("\n", "\r\n"), "negative"),
        (table(400, "0 1") + "\n\n", "negative"),
        (table(9, "0 1", names="{}"), "negative"),
    ],
)
def test_wide_tables_give_what_narrow_ones_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, uncertain: str
) -> None:
    file, reading = tmp_path / "labels.csv", Reading(uncertain=uncertain)
    file.write_text(text, newline="")
    plain = read_dataset(tmp_path, file, reading=reading)
    monkeypatch.setattr(columns, "MIN_CELLS", 0)
    assert read_wide_table(text, ",;\t") is not None
    wide = read_dataset(tmp_path, file, reading=reading)
    assert wide.files == plain.files and wide.classes == plain.classes and wide.notes == plain.notes
    assert np.array_equal(wide.labels, plain.labels) and wide.rejected == plain.rejected


@pytest.mark.parametrize("text", [table(9, '0 1 "1"'), table(9, "0 1") + "b.jpg,1\n", table(9, "0 1", width=9)])
def test_other_tables_are_left_to_the_general_reader(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(columns, "MIN_CELLS", 0)
    assert read_wide_table(text, ",;\t") is None


def test_a_fault_in_a_wide_table_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MIN_CELLS", 0)
    (tmp_path / "labels.csv").write_text(table(9, "0 1") + "b.jpg" + ",2" * 70 + "\n")
    with pytest.raises(ConfigError, match="no column of labels|must be 0 or 1"):
        read_dataset(tmp_path, tmp_path / "labels.csv")


def test_columns_with_many_distinct_values_stay_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "MIN_CELLS", 0)
    monkeypatch.setattr(columns, "BLOCK_ROWS", 7)
    found = read_wide_table(table(600, "0 1"), ",")
    assert found is not None
    names, *others = found[1]
    assert names == [f"a{number}.jpg" for number in range(600)]
    assert all(isinstance(column, EncodedColumn) and len(column) == 600 for column in others)
    encoded = others[0]
    assert list(encoded) == encoded[:] and encoded[3] == encoded[3:4][0] and set(encoded) == set(distinct(encoded))
    assert numbers_of(encoded, {"0": 0, "1": 1}).tolist() == [int(cell) for cell in encoded]


def test_parquet_distinguishes_blanks_from_zeros(tmp_path: Path) -> None:
    frame = pd.DataFrame({"file": [f"{n}.jpg" for n in range(6)], "label": ["x", "y", None] * 2})
    frame["many"] = range(6)
    frame[["file", "label"]].to_parquet(tmp_path / "text.parquet")
    assert read_dataset(tmp_path, tmp_path / "text.parquet").labels.sum(axis=1).tolist() == [1, 1, 0] * 2
    flags = pd.DataFrame({"file": frame["file"], "x": [1, 0] * 3, "y": [True, False, False] * 2})
    flags.to_parquet(tmp_path / "flags.parquet")
    dataset = read_dataset(tmp_path, tmp_path / "flags.parquet")
    assert dataset.labels.tolist() == [[n % 2 == 0, n % 3 == 0] for n in range(6)]
    assert not any("blank" in note for note in dataset.notes)


@pytest.mark.parametrize("names", [["file", "label"], ["file", "label", "label"]])
def test_a_damaged_parquet_file_is_refused(tmp_path: Path, names: list[str]) -> None:
    text = pa.array([b"a.jpg", b"b\xfb.jpg"]).view(pa.string())
    pq.write_table(pa.table([text] * len(names), names), tmp_path / "labels.parquet")
    with pytest.raises(ConfigError, match=r"labels\.parquet: is not a readable Parquet file \(.*; repair it"):
        read_dataset(tmp_path, tmp_path / "labels.parquet")
