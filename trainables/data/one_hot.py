"""Tables with a 0/1 column for each label: which columns are such, and the labels that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from thaw.trainables.data.cells import BINARY, MISSING, UNCERTAIN, CellError
from thaw.trainables.data.columns import different, values_of
from thaw.trainables.data.tables import Table

ENOUGH = 10
"""Rows from which on it is no accident that some columns hold exactly one 1 a row."""


def is_binary(cells: Sequence[str]) -> bool:
    """Whether a column says yes and no, with blanks and -1 where it says neither."""
    said = {cell.strip() for cell in different(cells)} - MISSING
    return bool(said) and all(cell.lower() in BINARY for cell in said)


def label_columns(columns: list[str], table: Table, notes: list[str]) -> list[str]:
    """The 0/1 columns that are labels.

    Where most of them, side by side, hold exactly one 1 in every row, they are the whole table of labels, and the
    others mean something else.
    """
    run = _one_each(columns, table) if len(columns) > 2 and len(table) >= ENOUGH else None
    if run:
        rest = ", ".join(name for name in columns if name not in run)
        notes.append(
            f"0/1 columns left out: {rest}; {first_names(run)} already give each image one label (data.columns.labels "
            "chooses others)"
        )
        return run
    if columns:
        notes.append(f"labels are the 0/1 columns {first_names(columns)}")
    return columns


def _one_each(columns: list[str], table: Table) -> list[str] | None:
    """The longest run of more than half of the columns with exactly one 1 in every row; None if it is all of them."""
    yes = {cell for cell, value in BINARY.items() if value == 1}
    ones = np.empty((len(columns), len(table)), bool)
    for number, name in enumerate(columns):
        cells = table.columns[name]
        ones[number] = values_of(cells, {cell: cell.strip().lower() in yes for cell in different(cells)})
    totals = np.concatenate([[0], np.cumsum(ones.sum(axis=1))])
    for size in range(len(columns), len(columns) // 2, -1):
        # As many 1 as rows, before row by row is asked.
        for start in np.flatnonzero(totals[size:] - totals[: len(totals) - size] == len(table)):
            if (ones[start : start + size].sum(axis=0) == 1).all():
                return columns[start : start + size] if size < len(columns) else None
    return None


def binary_sets(
    columns: Mapping[str, Sequence[str]], uncertain: str, line: Callable[[int], int], notes: list[str]
) -> tuple[list[frozenset[str]], dict[int, str]]:
    """The labels of each row of a table with a column of yes and no for each label.

    A table of 1 and -1 alone means yes and no by them. Beside 0 or blanks, -1 is uncertain.

    Args:
        columns: label → cells.
        uncertain: a key of ``reading.UNCERTAIN``.
        line: row → its number in the file, for errors.
        notes: what was guessed is added.

    Returns:
        The labels, and row → label for rows to be left out because that label is uncertain.

    Raises:
        CellError: a cell says something else.
    """
    words = {name: {cell: cell.strip().lower() for cell in different(cells)} for name, cells in columns.items()}
    seen = {word for found in words.values() for word in found.values()}
    blank = seen & {word.lower() for word in MISSING}
    values = {BINARY.get(word) for word in seen - blank}
    signed = UNCERTAIN in values and 0 not in values and not blank
    if signed:
        notes.append("1 and -1 are read as yes and no")
    elif UNCERTAIN in values:
        count = 0
        for name, cells in columns.items():
            unsure = {cell: BINARY.get(word) == UNCERTAIN for cell, word in words[name].items()}
            count += int(values_of(cells, unsure).sum()) if any(unsure.values()) else 0
        meaning = {"negative": "absent", "positive": "present", "drop": "a reason to leave the image out"}[uncertain]
        notes.append(f"{count} cells are -1, uncertain: read as {meaning} (data.uncertain)")
    if blank:
        notes.append("blank cells of the 0/1 columns mean no label")
    sets: list[list[str]] = [[] for _ in next(iter(columns.values()))]
    dropped: dict[int, str] = {}
    for name, cells in columns.items():
        said = {}
        for cell, word in words[name].items():
            value = 0 if word in blank else BINARY.get(word)
            if value is None:
                raise CellError(f"column {name!r} must be 0 or 1, got {cell!r} in row {line(cells.index(cell))}")
            said[cell] = 0 if value == UNCERTAIN and (signed or uncertain == "negative") else value
        present = values_of(cells, said)
        if uncertain == "drop":
            for row in np.flatnonzero(present == UNCERTAIN).tolist():
                dropped.setdefault(row, name)
            present[present == UNCERTAIN] = 0
        for row in np.flatnonzero(present).tolist():
            sets[row].append(name)
    shared: dict[frozenset[str], frozenset[str]] = {}
    return [shared.setdefault(one, one) for one in map(frozenset, sets)], dropped


def first_names(names: Sequence[str]) -> str:
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
