"""Rows that say that an image lacks a label: Open Images' confidence of 0, Prodigy's rejected answers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from thaw.spaces.errors import ConfigError
from thaw.spaces.words import counted
from thaw.trainables.data.cells import BINARY
from thaw.trainables.data.columns import distinct
from thaw.trainables.data.headings import heading
from thaw.trainables.data.one_hot import is_binary
from thaw.trainables.data.presence import absent_word
from thaw.trainables.data.reading import Source
from thaw.trainables.data.tables import Table

PRESENCE_HEADINGS = ("confidence", "present", "presence", "is_present", "answer")
"""Headings of a column that may tell whether the image has the label of its row."""

ANSWERS = {"accept": True, "reject": False, "ignore": False}
"""Cells of Prodigy's column ``answer`` → whether the image has the label of its row."""


def absent_rows(table: Table, used: Collection[str], source: Source) -> list[str]:
    """Refuses a column that marks the labels of rows as absent; a note if ``data.columns.labels`` takes all rows.

    Args:
        used: the columns of file names and labels.

    Raises:
        ConfigError: there is such a column, and ``data.columns.labels`` is not set.
    """
    notes = []
    for name, cells in table.columns.items():
        absent = _cells_of_absent(cells) if heading(name) in PRESENCE_HEADINGS and name not in used else set()
        if not absent:
            continue
        written = " or ".join(sorted(cell.strip() or "blank" for cell in absent))
        rows = counted(sum(cell in absent for cell in cells), "row")
        message = f"column {name!r} is {written} in {rows}, which seems to mean that their images lack the label"
        if not source.reading.labels:
            raise ConfigError(
                f"{source.place}: {message}; remove these rows, or set data.columns.labels to use all rows",
                key="labels",
            )
        notes.append(f"{message}; all rows are used")
    return notes


def _cells_of_absent(cells: Sequence[str]) -> set[str]:
    """The cells that mean absent, in a column that only says whether something is present; none for other columns."""
    found = {*distinct(cells)}
    if is_binary(cells):
        return {cell for cell in found if BINARY.get(cell.strip().lower()) == 0}
    if found <= ANSWERS.keys():
        return {cell for cell in found if not ANSWERS[cell]}
    word = absent_word(cells)
    return set() if word is None else {word}
