"""Tables of text, whatever they are written as: CSV and its relatives, lists by blanks, JSON lines, Parquet.

What a file is, its content says, not its name.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from thaw.spaces.csv_cells import unguarded
from thaw.spaces.errors import ConfigError
from thaw.trainables.data.columns import MOST, Coded, wide_columns
from thaw.trainables.data.label_files import IMAGE_SUFFIXES, bytes_of, looks_like_image, text_of

LOOKED_AT = 50
"""Rows, evenly spread, whose cells show whether a column holds file names."""

SEPARATORS = "\t;,|"
"""What may separate columns, before blanks."""

PARQUET = b"PAR1"
"""How a Parquet file begins."""


@dataclass
class Table:
    """A table of text.

    Args:
        columns: heading → cells, all of one length; ``column 1`` and so on where there are no headings.
        headed: whether the file gives the headings.
        notes: what was guessed about the file.
    """

    columns: dict[str, Sequence[str]]
    headed: bool
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), []))

    def line(self, row: int) -> int:
        """Number of a row in the file, from 1, where no row is blank."""
        return row + 1 + self.headed


def spread(values: Sequence[Any], count: int = LOOKED_AT) -> Sequence[Any]:
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
        key: of the search file, for errors.
        is_file: whether a cell names an image; tells headings from data.
        named: headings that the search file names, so that a first row with one of them is a header.
        encoding: as for :func:`~thaw.trainables.data.label_files.text_of`.

    Raises:
        ConfigError: it holds no table.
    """
    if bytes_of(path, key)[:4] == PARQUET:
        return _parquet(path, key)
    guessed: list[str] = []
    text = text_of(path, key, encoding, guessed)
    if re.match(r"\s*\{.*\}\s*(\n|$)", text) or re.match(r"\s*\[\s*\{", text):
        return _json_records(text, path, key)
    if wide := wide_columns(text, SEPARATORS):
        first, columns = wide
        top = [first, *map(list, zip(*(column[:LOOKED_AT] for column in columns), strict=True))]
        names = [name.strip() for name in first]
        usual = all(names) and len(set(names)) == len(names) and first[0] not in columns[0]
        if usual and _has_headings(top, is_file, named):
            return Table(dict(zip(names, columns, strict=True)), True, guessed)
    rows, notes = split_rows(text, path, key)
    headed = _has_headings(rows, is_file, named)
    header = [cell.strip() for cell in rows[0]] if headed else []
    if headed and len(rows) == 1:
        raise ConfigError(f"{path}: holds a header and no rows; give one row an image", key=key)
    notes = guessed + notes
    if headed and (kept := [row for row in rows[1:] if row != rows[0]]) and len(kept) < len(rows) - 1:
        notes.append(f"{len(rows) - 1 - len(kept)} rows repeat the headings and are left out")
        rows = [rows[0], *kept]
    names = [header[i] if headed and header[i] else f"column {i + 1}" for i in range(len(rows[0]))]
    twice = next((name for i, name in enumerate(names) if name in names[:i]), None)
    if twice is not None:
        raise ConfigError(f"{path}: two columns are named {twice!r}; name each differently", key=key)
    cells = zip(*rows[headed:], strict=True)
    return Table({name: list(column) for name, column in zip(names, cells, strict=True)}, headed, notes)


def _has_headings(rows: Sequence[Sequence[str]], is_file: Callable[[str], bool], named: frozenset[str]) -> bool:
    return not named.isdisjoint(cell.strip() for cell in rows[0]) or has_header(rows, is_file)


def split_rows(text: str, path: Path, key: str, separators: str = SEPARATORS) -> tuple[list[list[str]], list[str]]:
    """The rows of a text, blank lines left out, all of one length (at least 2), the header among them; and notes.

    The separator of columns gives every row the same number of cells, and a column of file names if any does; of
    several such it is the one that comes first: ``a.jpg;1,2`` has two columns, and so has ``a.jpg,1;2``. Blanks
    separate where nothing else does, or where only then there are file names.

    Raises:
        ConfigError: there are no rows, fewer than two columns, or rows of different lengths.
    """
    notes: list[str] = []
    text, separators = _without_first_lines(text, separators, notes)
    if not text.strip():
        raise ConfigError(f"{path}: holds no rows; give one row an image", key=key)
    tables, fault = {}, None
    for separator in [sign for sign in separators if sign in text] or separators[:1]:
        try:
            # Strict: a quote that is never closed would swallow all rows behind it.
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
            rows = [row for row in lines if any(cell.strip() for cell in row)]
            # Few files hold apostrophes, and asking every cell takes seconds.
            plain = [[unguarded(cell) for cell in row] for row in rows] if "'" in text else rows
            tables[separator] = _evened(plain)
        except csv.Error as error:
            fault = error
    several = [separator for separator in tables if max(map(len, tables[separator]), default=0) > 1]
    if fault and not several:
        message = f"is not a table of text ({fault}); close every quote, or choose a CSV file"
        raise ConfigError(f"{path}: {message}", key=key)
    even = [separator for separator in several if len(set(map(len, tables[separator]))) == 1]
    filed = [separator for separator in even if _has_files(tables[separator])]
    first_line = next(line for line in text.splitlines() if line.strip())
    if not filed and separators != "\t":
        blanks = _by_blanks(text)
        if blanks and (_has_files(blanks) or not even):
            return blanks, [*notes, "columns are separated by blanks"]
    if not several:
        message = "has one column; needs a file name and labels, by comma, tab, semicolon or blank"
        raise ConfigError(f"{path}: {message}", key=key)
    rows = tables[min(filed or even or several, key=lambda sign: (first_line + sign).find(sign))]
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise ConfigError(
                f"{path}: row {number} has {len(row)} columns, row 1 has {len(rows[0])}; all rows need as many: "
                'put several labels into one column, separated by blanks or quoted ("1,2")',
                key=key,
            )
    return rows, notes


def has_header(rows: Sequence[Sequence[str]], is_file: Callable[[str], bool]) -> bool:
    """The first row is a header if it names no file where the rows below do, or holds a usual heading."""
    below = spread(rows[1:])
    # Looking for files takes time where there are many, so endings are asked first.
    for names_file in (looks_like_image, is_file):
        columns = [i for i in range(len(rows[0])) if below and all(names_file(row[i].strip()) for row in below)]
        if columns:
            return not any(names_file(rows[0][i].strip()) for i in columns)
    return any(heading(cell) in USUAL_HEADINGS for cell in rows[0])


def heading(cell: str) -> str:
    """A heading in one spelling: ``Image Index``, ``image-index`` → ``image_index``."""
    return re.sub(r"\W+", "_", cell.strip().lower()).strip("_")


FILE_HEADINGS = (
    *("filename", "file_name", "file", "image", "image_name", "image_id", "image_path", "path", "name", "id"),
    *("img", "fname", "imageid", "image_index", "filepath", "file_path", "img_path", "img_name", "picture", "photo"),
)
"""Headings of file names, the most telling first."""

LABEL_HEADINGS = (
    *("labels", "label", "classes", "class", "tags", "tag", "categories", "category", "targets", "target"),
    *("labelname", "label_name", "class_name", "category_name", "finding_labels", "genres", "genre", "species"),
    *("lbl", "diagnosis", "dx", "attribute_ids", "choice", "category_id", "class_id", "label_id"),
)
"""Headings of a column that holds all labels of an image, the most telling first."""

USUAL_HEADINGS = frozenset(FILE_HEADINGS + LABEL_HEADINGS)

_NAME = rf"\S.*?\.(?:{'|'.join(ending[1:] for ending in IMAGE_SUFFIXES)})"
_NAME_FIRST = re.compile(rf"({_NAME})\s+(\S.*)?", re.IGNORECASE)
_NAME_LAST = re.compile(rf"(\S+)\s+({_NAME})", re.IGNORECASE)


def _without_first_lines(text: str, separators: str, notes: list[str]) -> tuple[str, str]:
    """The text behind Excel's ``sep=;`` and behind a line that only counts the others."""
    if excel := re.match(r"\s*\"?sep=(.)\"?\r?\n", text, re.IGNORECASE):
        notes.append(f"the first line says that {excel[1]!r} separates columns")
        return text[excel.end() :], excel[1]
    if counted := re.match(r"\s*(\d+)\s*\r?\n", text):
        lines = sum(1 for line in text[counted.end() :].splitlines() if line.strip())
        if lines and int(counted[1]) in (lines, lines - 1):
            notes.append("the first line counts the rows and is left out")
            return text[counted.end() :], separators
    return text, separators


def _evened(rows: list[list[str]]) -> list[list[str]]:
    """Rows of one length where they differ by empty cells at their end, or the header lacks the first heading."""
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


def _by_blanks(text: str) -> list[list[str]] | None:
    """Rows by blanks: as many words in every line, or a file name and all labels behind it, or one label before it.

    File names may hold blanks themselves, so words are columns only where the first of them are files.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    rows = _evened([line.split() for line in lines])
    # Headings of a file and its labels, and labels that hold blanks: no column is without a heading.
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


def _json_records(text: str, path: Path, key: str) -> Table:
    """JSON lines, or a JSON list, of objects: one row an object, in its own order of keys."""

    def records() -> Iterator[tuple[int, Any]]:
        if text.lstrip().startswith("["):
            yield from enumerate(json.loads(text), 1)
            return
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield number, json.loads(line)

    rows: list[dict[str, Any]] = []
    number = 0
    try:
        for number, record in records():
            if not isinstance(record, dict):
                raise ConfigError(
                    f"{path}: row {number} must be an object such as "
                    f'{{"file_name": "a.jpg", "label": "cat"}}, got {type(record).__name__}',
                    key=key,
                )
            rows.append(record)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: line {number + 1} is not JSON ({error}); repair it", key=key) from error
    return _table_of_records(rows)


def _table_of_records(rows: list[dict[str, Any]]) -> Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Table({str(name): [cell_text(_path_of(row.get(name))) for row in rows] for name in names}, headed=True)


def _path_of(value: Any) -> Any:
    """Of an image feature of Hugging Face (bytes and path) its path; any other value as it is."""
    return value["path"] if isinstance(value, dict) and isinstance(value.get("path"), str) else value


def cell_text(value: Any) -> str:
    """A value as a cell of text: nothing for null, JSON for lists and objects."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _parquet(path: Path, key: str) -> Table:
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise ConfigError(f"{path}: is not a Parquet file that can be read ({error}); repair it", key=key) from error
    if not len(table):
        raise ConfigError(f"{path}: holds no rows; give one row an image", key=key)
    columns: dict[str, Sequence[str]] = {}
    for name in table.column_names:
        if pyarrow.types.is_struct(table.schema.field(name).type):
            columns[name] = [cell_text(_path_of(value)) for value in table[name].to_pylist()]
        else:
            columns[name] = _parquet_column(table[name])
    return Table(columns, headed=True)


def _parquet_column(column: Any) -> Sequence[str]:
    """The cells of a column of Parquet; each different value is written once, where it can be told which differ."""
    import pyarrow

    try:
        coded = column.combine_chunks().dictionary_encode()
    except pyarrow.ArrowException:  # lists and the like
        return [cell_text(value) for value in column.to_pylist()]
    texts = [cell_text(value) for value in coded.dictionary.to_pylist()]
    if column.null_count:
        texts.append("")
    codes = coded.indices.fill_null(len(texts) - 1).to_numpy(zero_copy_only=False)
    return Coded(codes.astype(np.uint8), texts) if len(texts) <= MOST else [texts[code] for code in codes.tolist()]
