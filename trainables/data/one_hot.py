"""Tables with a 0/1 column for each label: finds these columns, and reads the labels of each row."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np

from thaw.spaces.words import counted
from thaw.trainables.data.cells import BINARY, MISSING, UNSURE, CellError
from thaw.trainables.data.columns import distinct, numbers_of
from thaw.trainables.data.presence import Pair, only_absent, presence_columns, refuse_marks, shown
from thaw.trainables.data.tables import Table

MIN_ROWS = 10
"""Fewest rows from which it is taken as a rule that some columns have exactly one 1 in each row."""


def is_binary(cells: Sequence[str]) -> bool:
    """Whether the cells of a column are yes or no, -1 or missing."""
    values = {cell.strip() for cell in distinct(cells)} - MISSING
    return bool(values) and all(cell.lower() in BINARY for cell in values)


def refuse_wrong_cells(names: Sequence[str], table: Table) -> None:
    """Refuses columns that are 0/1 but for a few cells, such as ``?``: left out in silence, they would lose a label.

    Raises:
        CellError: more than half of the cells of a column are 0 or 1 and it holds both, but others are something else.
    """
    for name in names:
        cells = table.columns[name]
        wrong = {cell for cell in distinct(cells) if cell.strip() not in MISSING and cell.strip().lower() not in BINARY}
        digits = {cell.strip().removesuffix(".0") for cell in distinct(cells)}
        if not wrong or not {"0", "1"} <= digits or any(re.fullmatch(r"-?[\d.]+", cell.strip()) for cell in wrong):
            continue
        if 2 * sum(cell not in wrong for cell in cells) > len(cells):
            row = next(row for row, cell in enumerate(cells) if cell in wrong)
            raise CellError(
                f"column {name!r} must be 0 or 1, got {cells[row]!r} in row {table.line(row)}; correct the cell (blank "
                "is 0, -1 is uncertain), or name the columns by data.columns.labels"
            )


def how_declared(names: Sequence[str], table: Table) -> tuple[bool, Pair | None]:
    """Whether the columns of ``data.columns.labels`` hold a label each, by 0 and 1 or by a pair.

    One column alone holds the labels themselves.

    Raises:
        CellError: some cells are marks such as ``x``, and others are not.
    """
    if len(names) < 2 or all(is_binary(table.columns[name]) for name in names):
        return len(names) > 1, None
    pair, _ = presence_columns(names, table, declared=True)
    return pair is not None, pair


def columns_by_label(
    free: Sequence[str], candidates: Sequence[str], known: Collection[str], table: Table, notes: list[str]
) -> tuple[Pair | None, list[str]]:
    """The columns that hold a label each, and the pair that they use instead of 0 and 1.

    Args:
        free: columns with no other purpose.
        candidates: those of them that do not only count the rows.
        known: labels from ``data.classes``; if some are headings, these columns are the labels.
        notes: notes on what was guessed are appended.

    Raises:
        CellError: a cell of such a column is something else, or columns use different pairs.
    """
    listed = [name for name in free if name in known]
    binary = [name for name in listed or free if is_binary(table.columns[name])]
    # A column of nothing but "no" may be one of sí and no.
    if not (listed and binary == listed) and all(only_absent(table.columns[name]) for name in binary):
        pair, columns = presence_columns(listed or candidates, table, declared=bool(listed))
        if pair:
            notes.append(f"labels are the columns {first_names(columns)}, which hold {shown(pair)}")
            return pair, columns
    if listed:
        return None, listed
    columns = label_columns(binary, table, notes)
    rest = [name for name in free if name not in columns]
    refuse_wrong_cells(rest, table)
    if columns:
        refuse_marks(rest, table, columns[0])
    return None, columns


def label_columns(columns: list[str], table: Table, notes: list[str]) -> list[str]:
    """The 0/1 columns that are labels.

    If most of them, next to each other, have exactly one 1 in every row, they are all the labels, and the other 0/1
    columns mean something else.
    """
    exclusive = _exclusive_columns(columns, table) if len(columns) > 2 and len(table) >= MIN_ROWS else None
    if exclusive:
        rest = ", ".join(name for name in columns if name not in exclusive)
        notes.append(
            f"0/1 columns not used as labels: {rest}; {first_names(exclusive)} already give each image one label "
            "(data.columns.labels chooses others)"
        )
        return exclusive
    if columns:
        notes.append(f"labels are the 0/1 columns {first_names(columns)}")
    return columns


def _exclusive_columns(columns: list[str], table: Table) -> list[str] | None:
    """The most adjacent columns, over half of all, with exactly one 1 in every row; None if there are none, or all."""
    yes = {cell for cell, value in BINARY.items() if value == 1}
    ones = np.empty((len(columns), len(table)), bool)
    for number, name in enumerate(columns):
        cells = table.columns[name]
        ones[number] = numbers_of(cells, {cell: cell.strip().lower() in yes for cell in distinct(cells)})
    totals = np.concatenate([[0], np.cumsum(ones.sum(axis=1))])
    for size in range(len(columns), len(columns) // 2, -1):
        # The total is checked first, as checking every row is slow.
        for start in np.flatnonzero(totals[size:] - totals[: len(totals) - size] == len(table)):
            if (ones[start : start + size].sum(axis=0) == 1).all():
                return columns[start : start + size] if size < len(columns) else None
    return None


def binary_sets(
    columns: Mapping[str, Sequence[str]], uncertain: str, line: Callable[[int], int], notes: list[str]
) -> tuple[list[frozenset[str]], dict[int, str]]:
    """The labels of each row of a table with a 0/1 column for each label.

    If a table holds only 1 and -1, they mean yes and no. If it also holds 0 or blanks, -1 means uncertain.

    Args:
        columns: label → cells.
        uncertain: a key of ``reading.UNCERTAIN``.
        line: row → its number in the file, for errors.
        notes: notes on what was guessed are appended.

    Returns:
        The labels of each row, and row → label for rows to be left out because that label is uncertain.

    Raises:
        CellError: a cell has another value.
    """
    words = {name: {cell: cell.strip().lower() for cell in distinct(cells)} for name, cells in columns.items()}
    seen = {word for found in words.values() for word in found.values()}
    blank = seen & {word.lower() for word in MISSING}
    values = {BINARY.get(word) for word in seen - blank}
    signed = UNSURE in values and 0 not in values and not blank
    if signed:
        notes.append("1 and -1 are read as yes and no")
    elif UNSURE in values:
        count = 0
        for name, cells in columns.items():
            unsure = {cell: BINARY.get(word) == UNSURE for cell, word in words[name].items()}
            count += int(numbers_of(cells, unsure).sum()) if any(unsure.values()) else 0
        meaning = {
            "negative": "read as absent",
            "positive": "read as present",
            "drop": "their images are left out",
        }[uncertain]
        notes.append(f"{counted(count, 'cell is', 'cells are')} -1 (uncertain): {meaning} (data.uncertain)")
    if blank:
        notes.append("blank cells of the 0/1 columns are read as 0")
    sets: list[list[str]] = [[] for _ in next(iter(columns.values()))]
    dropped: dict[int, str] = {}
    for name, cells in columns.items():
        numbers = {}
        for cell, word in words[name].items():
            value = 0 if word in blank else BINARY.get(word)
            if value is None:
                row = line(cells.index(cell))
                raise CellError(f"column {name!r} must be 0 or 1, got {cell!r} in row {row}; correct the cell")
            numbers[cell] = 0 if value == UNSURE and (signed or uncertain == "negative") else value
        present = numbers_of(cells, numbers)
        if uncertain == "drop":
            for row in np.flatnonzero(present == UNSURE).tolist():
                dropped.setdefault(row, name)
            present[present == UNSURE] = 0
        for row in np.flatnonzero(present).tolist():
            sets[row].append(name)
    shared: dict[frozenset[str], frozenset[str]] = {}
    return [shared.setdefault(one, one) for one in map(frozenset, sets)], dropped


def first_names(names: Sequence[str]) -> str:
    """Up to ten of the names, and the number of the others."""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return ", ".join(names[:10]) + more
