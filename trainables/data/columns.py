"""Dictionary-encoded columns of text, one byte per cell, and wide tables that are read into such columns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import overload

import numpy as np

MIN_COLUMNS = 64
"""Fewest columns of a table that is read into encoded columns."""

MIN_CELLS = 2_000_000
"""Fewest cells of such a table."""

BLOCK_ROWS = 1_000
"""Rows held as text at a time."""

MAX_VALUES = 256
"""Most distinct values of an encoded column: a code is one byte."""


class EncodedColumn(Sequence[str]):
    """A column with few distinct values.

    Args:
        codes: uint8 (rows,), index of each cell's value in `values`.
        values: the distinct values.
    """

    def __init__(self, codes: np.ndarray, values: Sequence[str]) -> None:
        self.codes, self.values = codes, values

    def __len__(self) -> int:
        return len(self.codes)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self.values[code] for code in self.codes[row].tolist()]
        return self.values[int(self.codes[row])]

    def __iter__(self) -> Iterator[str]:
        return map(self.values.__getitem__, self.codes.tolist())


def distinct(cells: Sequence[str]) -> Collection[str]:
    """The distinct values of a column."""
    return cells.values if isinstance(cells, EncodedColumn) else set(cells)


def numbers_of(cells: Sequence[str], numbers: Mapping[str, int]) -> np.ndarray:
    """int8 (rows,), the number that each cell stands for.

    Args:
        numbers: distinct value → number.
    """
    if isinstance(cells, EncodedColumn):
        return np.array([numbers[value] for value in cells.values], np.int8)[cells.codes]
    return np.fromiter(map(numbers.__getitem__, cells), np.int8, len(cells))


def read_wide_table(text: str, separators: str) -> tuple[list[str], list[Sequence[str]]] | None:
    """The first row and the columns below it of a large, wide table without quotes; None for any other text.

    A table of 100,000 rows and 1,000 columns of 0 and 1 takes 0.1 GB this way, and 1.6 GB as lists.
    """
    lines = (found[0] for found in re.finditer(r"[^\r\n]+", text))
    first = next(lines, "")
    separator = max(separators, key=first.count)
    width = first.count(separator) + 1
    if width < MIN_COLUMNS or text.count("\n") * width < MIN_CELLS or '"' in text or "'" in text:
        return None
    columns = [_ColumnBuilder() for _ in range(width)]
    while block := list(islice(lines, BLOCK_ROWS)):
        rows = [line.split(separator) for line in block if line.strip()]
        if any(len(row) != width for row in rows):
            return None
        for column, cells in zip(columns, zip(*rows, strict=True), strict=True):
            column.add(cells)
    return first.split(separator), [column.build() for column in columns]


class _ColumnBuilder:
    """Collects the cells of a column: as codes, until it has too many distinct values."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}
        self.codes = bytearray()
        self.cells: list[str] | None = None

    def add(self, cells: Sequence[str]) -> None:
        if self.cells is None:
            for cell in set(cells) - self.numbers.keys():
                self.numbers[cell] = len(self.numbers)
            if len(self.numbers) <= MAX_VALUES:
                self.codes += bytes(map(self.numbers.__getitem__, cells))
                return
            self.cells = list(self._encoded())
        self.cells += cells

    def _encoded(self) -> EncodedColumn:
        return EncodedColumn(np.frombuffer(self.codes, np.uint8), list(self.numbers))

    def build(self) -> Sequence[str]:
        return self._encoded() if self.cells is None else self.cells
