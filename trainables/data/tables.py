"""Reads tables of text: CSV and its relatives, and lists separated by blanks; JSON, YAML and Parquet by other files.

The format is recognised by the content of a file, not by its name.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from thaw.spaces.csv_cells import unguarded
from thaw.spaces.errors import ConfigError
from thaw.spaces.words import counted
from thaw.trainables.data.columns import read_wide_table
from thaw.trainables.data.exports import VIA_CSV, ExportError, via_csv
from thaw.trainables.data.headings import FILE_HEADINGS, USUAL_HEADINGS, heading
from thaw.trainables.data.label_files import IMAGE_SUFFIXES, bytes_of, looks_like_image, text_of
from thaw.trainables.data.records import PARQUET, parquet_columns
from thaw.trainables.data.typed_tables import typed_columns

SAMPLED_ROWS = 50
"""Evenly spread rows that are checked to find out whether a column holds file names."""

COLUMN_SEPARATORS = "\t;,|"
"""Separators to try; blanks come last."""


@dataclass
class Table:
    """A table of text.

    Args:
        columns: heading → cells, all of the same length; ``column 1`` and so on if the file has no headings.
        headed: whether the file has headings.
        notes: what was guessed about the file, one sentence each.
    """

    columns: dict[str, Sequence[str]]
    headed: bool
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def line(self, row: int) -> int:
        """Number of a row in the file, from 1, not counting blank lines."""
        return row + 1 + self.headed


def spread(values: Sequence[Any], count: int = SAMPLED_ROWS) -> Sequence[Any]:
    """At most about `count` of the values, evenly spread."""
    return values[:: max(1, len(values) // count)]


def read_table(
    path: Path,
    key: str,
    is_file: Callable[[str], bool] = looks_like_image,
    named: frozenset[str] = frozenset(),
    encoding: str = "auto",
) -> Table:
    """The table in a file.

    Args:
        key: key of the search file, for errors.
        is_file: returns whether a cell names an image, which distinguishes headings from data.
        named: headings that the search file names; a first row with one of them is a header.
        encoding: as for :func:`~thaw.trainables.data.label_files.text_of`.

    Raises:
        ConfigError: the file holds no table.
    """
    if bytes_of(path, key)[:4] == PARQUET:
        return Table(parquet_columns(path, key), headed=True)
    guessed: list[str] = []
    text = text_of(path, key, encoding, guessed)
    if typed := typed_columns(text, path, key, is_file):
        found, notes = typed
        if not found:
            raise ConfigError(f"{path}: holds only empty records; give each image a file name and labels", key=key)
        return Table(found, True, notes + guessed)
    if wide := read_wide_table(text, COLUMN_SEPARATORS):
        first, columns = wide
        top = [first, *map(list, zip(*(column[:SAMPLED_ROWS] for column in columns), strict=True))]
        names = [name.strip() for name in first]
        usual = all(names) and len(set(names)) == len(names) and first[0] not in columns[0]
        if usual and _has_headings(top, is_file, named):
            return Table(dict(zip(names, columns, strict=True)), True, guessed)
    rows, notes = split_rows(text, path, key)
    headed = _has_headings(rows, is_file, named)
    header = [cell.strip() for cell in rows[0]] if headed else []
    if headed and len(rows) == 1:
        raise ConfigError(f"{path}: holds a header and no rows; give one row per image", key=key)
    notes = guessed + notes
    if headed and (kept := [row for row in rows[1:] if row != rows[0]]) and len(kept) < len(rows) - 1:
        repeating = counted(len(rows) - 1 - len(kept), "row repeats", "rows repeat")
        notes.append(f"{repeating} the headings: left out")
        rows = [rows[0], *kept]
    names = [header[i] if headed and header[i] else f"column {i + 1}" for i in range(len(rows[0]))]
    repeated = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if repeated is not None:
        raise ConfigError(f"{path}: two columns are named {repeated!r}; give each its own heading", key=key)
    cells = zip(*rows[headed:], strict=True)
    found = {name: list(column) for name, column in zip(names, cells, strict=True)}
    if found.keys() >= {*VIA_CSV}:
        try:
            return Table(via_csv(found), True, [*notes, "export of VGG Image Annotator"])
        except ExportError as error:
            raise ConfigError(f"{path}: {error}", key=key) from None
    return Table(found, headed, notes)


def _has_headings(rows: Sequence[Sequence[str]], is_file: Callable[[str], bool], named: frozenset[str]) -> bool:
    return not named.isdisjoint(cell.strip() for cell in rows[0]) or has_header(rows, is_file)


def split_rows(
    text: str, path: Path, key: str, separators: str = COLUMN_SEPARATORS
) -> tuple[list[list[str]], list[str]]:
    """The rows of a text without blank lines, all of the same length (at least 2), including a header; and notes.

    A separator of columns must give every row the same number of cells. One that gives a column of file names is
    preferred, then the one that occurs first: ``a.jpg;1,2`` has two columns, and so has ``a.jpg,1;2``. Blanks separate
    columns if nothing else does, or if only blanks give a column of file names.

    Raises:
        ConfigError: there are no rows, fewer than two columns, or rows of different lengths.
    """
    notes: list[str] = []
    text, separators = _without_first_lines(text, separators, notes)
    if not text.strip():
        raise ConfigError(f"{path}: holds no rows; give one row per image", key=key)
    tables, fault = {}, None
    for separator in [one for one in separators if one in text] or separators[:1]:
        try:
            # Strict: a quote that is never closed would swallow all following rows.
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
            rows = [row for row in lines if any(cell.strip() for cell in row)]
            # Few files hold apostrophes, and checking every cell takes seconds.
            plain = [[unguarded(cell) for cell in row] for row in rows] if "'" in text else rows
            tables[separator] = _equal_lengths(plain)
        except csv.Error as error:
            fault = error
    several = [separator for separator in tables if max(map(len, tables[separator]), default=0) > 1]
    if fault and not several:
        message = f"is not a table of text ({fault}); close every quote, or choose a CSV file"
        raise ConfigError(f"{path}: {message}", key=key)
    regular = [separator for separator in several if len(set(map(len, tables[separator]))) == 1]
    with_files = [separator for separator in regular if _has_files(tables[separator])]
    first_line = next(line for line in text.splitlines() if line.strip())
    if not with_files and separators != "\t":
        by_blanks = _split_by_blanks(text)
        if by_blanks and (_has_files(by_blanks) or not regular):
            return by_blanks, [*notes, "columns are separated by blanks"]
    if not several:
        message = "must have columns of file names and labels, got one column; separate them by comma, tab or semicolon"
        raise ConfigError(f"{path}: {message}", key=key)
    rows = tables[min(with_files or regular or several, key=lambda one: (first_line + one).find(one))]
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise ConfigError(
                f"{path}: row {number} has {counted(len(row), 'column')}, row 1 has {len(rows[0])} (row {number}: "
                f"{_shown(row)}); all rows must have the same number: put several labels into one column, separated "
                'by blanks or quoted ("1,2")',
                key=key,
            )
    return rows, notes


def _shown(row: Sequence[str]) -> str:
    """A row for an error: its cells between bars, shortened in the middle."""
    text = " | ".join(cell.strip() for cell in row)
    return repr(text if len(text) <= 80 else f"{text[:50]} … {text[-27:]}")


def has_header(rows: Sequence[Sequence[str]], is_file: Callable[[str], bool]) -> bool:
    """Whether the first row is a header: it names no file in a column of files, or it holds a usual heading."""
    below = spread(rows[1:])
    # Looking for files takes time if there are many, so extensions are checked first.
    for names_file in (looks_like_image, is_file):
        columns = [i for i in range(len(rows[0])) if below and all(names_file(row[i].strip()) for row in below)]
        if columns:
            return not any(names_file(rows[0][i].strip()) for i in columns)
    return any(heading(cell) in USUAL_HEADINGS for cell in rows[0])


_NAME = rf"\S.*?\.(?:{'|'.join(ending[1:] for ending in IMAGE_SUFFIXES)})"
_NAME_FIRST = re.compile(rf"({_NAME})\s+(\S.*)?", re.IGNORECASE)
_NAME_LAST = re.compile(rf"(\S+)\s+({_NAME})", re.IGNORECASE)


def _without_first_lines(text: str, separators: str, notes: list[str]) -> tuple[str, str]:
    """The text without Excel's first line ``sep=;``, or without a first line that only counts the rows."""
    if excel := re.match(r"\s*\"?sep=(.)\"?\r?\n", text, re.IGNORECASE):
        notes.append(f"the first line sets {excel[1]!r} as the separator of columns")
        return text[excel.end() :], excel[1]
    if counted := re.match(r"\s*(\d+)\s*\r?\n", text):
        lines = sum(1 for line in text[counted.end() :].splitlines() if line.strip())
        if lines and int(counted[1]) in (lines, lines - 1):
            notes.append("the first line is the number of rows and is left out")
            return text[counted.end() :], separators
    return text, separators


def _equal_lengths(rows: list[list[str]]) -> list[list[str]]:
    """Makes rows equally long if they differ only by empty cells at the end, or if the header lacks one heading."""
    lengths = {len(row) for row in rows}
    if len(lengths) != 2:
        return rows
    short, long = sorted(lengths)
    if long == short + 1 and short > 1 and len(rows[0]) == short and all(len(row) == long for row in rows[1:]):
        if any(row[-1].strip() for row in rows[1:]):
            return [["", *rows[0]], *rows[1:]]
        return [rows[0], *(row[:-1] for row in rows[1:])]
    if all(not any(cell.strip() for cell in row[short:]) for row in rows):
        return [row[:short] for row in rows]
    return rows


def _has_files(rows: Sequence[Sequence[str]]) -> bool:
    below = spread(rows[1:] or rows)
    return any(all(looks_like_image(row[i].strip()) for row in below) for i in range(len(below[0])))


def _split_by_blanks(text: str) -> list[list[str]] | None:
    """Rows separated by blanks: equally many words per line, a file name and its labels, or a label and a file name.

    File names may contain blanks, so words are columns only if the first of each line is a file name.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows = _equal_lengths([line.split() for line in lines])
    # Two headings, and labels of two words: this is not a first column without a heading.
    named = rows[0][0] == "" and len(rows[0]) == 3 and heading(rows[0][1]) in FILE_HEADINGS
    if len(rows[0]) > 1 and not named and all(len(row) == len(rows[0]) for row in rows):
        if _has_files([row[:1] for row in rows]):
            return rows
    else:
        rows = []
    for pattern in (_NAME_FIRST, _NAME_LAST):
        found = [pattern.fullmatch(line) for line in lines]
        if found[0] is None and len(words := lines[0].split(None, 1)) == 2 and all(found[1:]) and found[1:]:
            return [words, *([match[1], match[2] or ""] for match in found[1:] if match)]
        if all(found):
            return [[match[1], match[2] or ""] for match in found if match]
    return rows or None
