"""Labels in a table: a CSV file in any of its spellings, and the paper's own format."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from thaw.spaces.csv_cells import unguarded
from thaw.spaces.errors import ConfigError
from thaw.trainables.data.label_files import Rows, looks_like_image, text_of

FILE_COLUMNS = ("filename", "file_name", "file", "image", "image_name", "image_id", "image_path", "path", "name", "id")
"""Headings under which label files keep the file name, the most telling first; upper and lower case are the same."""

LABEL_COLUMNS = ("labels", "label", "classes", "class", "tags", "tag", "categories", "category", "targets", "target")
"""Headings of a column that holds all labels of an image."""

BINARY = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
"""Cells of a column that stands for one label."""


def table_of(path: Path, key: str, separators: str = "\t;,") -> list[list[str]]:
    """The rows of a CSV file as text, blank lines left out, all of one length (at least 2).

    The separator of columns is the one that gives every row the same number of columns; of several such the one that
    comes first in the file: ``a.jpg;1,2`` has two columns, and so has ``a.jpg,1;2``.
    """
    text = text_of(path, key)
    if not text.strip():
        raise ConfigError(f"{path}: holds no rows; give one row an image", key=key)
    tables, faults = {}, []
    for separator in separators:
        try:
            # Strict: a quote that is never closed would swallow all rows behind it.
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True))
            tables[separator] = [
                [unguarded(cell.strip()) for cell in row] for row in rows if any(cell.strip() for cell in row)
            ]
        except csv.Error as error:
            faults.append(error)
    several = [separator for separator in tables if max(map(len, tables[separator]), default=0) > 1]
    if faults and not several:
        message = f"is not a table of text ({faults[0]}); close every quote, or choose a CSV file"
        raise ConfigError(f"{path}: {message}", key=key)
    if not several:
        raise ConfigError(f"{path}: has one column; needs a file name and labels, by comma, tab or semicolon", key=key)
    even = [separator for separator in several if len(set(map(len, tables[separator]))) == 1]
    first_line = next(line for line in text.splitlines() if line.strip())
    rows = tables[min(even or several, key=lambda sign: (first_line + sign).find(sign))]
    for number, row in enumerate(rows, 1):
        if len(row) != len(rows[0]):
            raise ConfigError(
                f"{path}: row {number} has {len(row)} columns, row 1 has {len(rows[0])}; all rows need as many: "
                'put several labels into one column, separated by blanks or quoted ("1,2")',
                key=key,
            )
    return rows


def _file_column(rows: Sequence[Sequence[str]], header: Sequence[str]) -> int:
    """By its heading, else the first column whose cells end like image files, else the first."""
    headings = [cell.lower() for cell in header]
    images = [i for i in range(len(rows[0])) if looks_like_image(rows[-1][i])]
    named = [headings.index(name) for name in FILE_COLUMNS if name in headings]
    return next(iter([i for i in named if i in images] + named + images), 0)


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """The first row is a header if it holds a usual heading, or no image file although the last row does."""
    first = [cell.lower() for cell in rows[0]]
    if any(cell in FILE_COLUMNS + LABEL_COLUMNS for cell in first):
        return True
    return any(map(looks_like_image, rows[-1])) and not any(map(looks_like_image, rows[0]))


def split_labels(cells: Sequence[str], whole: frozenset[str] = frozenset()) -> list[frozenset[str]]:
    """Several labels in one cell, separated by the strongest sign that occurs in any: bar, semicolon, comma, blank.

    Args:
        whole: labels known beforehand; where every cell is one of them, none is taken apart at its blanks.
    """
    sign = next((sign for sign in "|;," if any(sign in cell for cell in cells)), None)
    if sign is None and all(cell in whole for cell in cells if cell):
        return [frozenset([cell] if cell else []) for cell in cells]
    return [frozenset(label.strip() for label in cell.split(sign) if label.strip()) for cell in cells]


def _binary(column: pd.Series) -> bool:
    values = set(column.str.lower()) - {""}
    return bool(values) and values <= BINARY.keys()


def read_csv(images: Path, labels: Path | None, classes: dict[str, str] | None) -> Rows:
    """A file name and, beside it, all labels in one column, or a 0/1 column for each label.

    With `classes` given, the 0/1 columns are those it lists; else every column that holds nothing but 0 and 1.
    """
    assert labels is not None
    rows = _read_table(labels, classes)
    for number, (file, names) in enumerate(zip(rows.files, rows.labels, strict=True), 1):
        if any("\n" in text or "\r" in text for text in (file, *names)):
            message = f"file name or labels of row {number} run over several lines; close the quote before it"
            raise ConfigError(f"{labels}: {message}", key="labels")
    return rows


def _read_table(labels: Path, classes: dict[str, str] | None) -> Rows:
    rows = table_of(labels, "labels")
    known = frozenset(classes or ()) | frozenset((classes or {}).values())
    if not _has_header(rows):
        if len(rows[0]) > 2:
            message = f"has {len(rows[0])} columns without headings; name them in a first row, such as filename,labels"
            raise ConfigError(f"{labels}: {message}", key="labels")
        file = _file_column(rows, [])
        return Rows([row[file] for row in rows], split_labels([row[1 - file] for row in rows], known))

    header, rows = rows[0], rows[1:]
    if not rows:
        raise ConfigError(f"{labels}: holds a header and no rows; give one row an image", key="labels")
    twice = [name for name, times in Counter(header).items() if times > 1]
    if twice:
        raise ConfigError(f"{labels}: two columns are named {twice[0]!r}; name each differently", key="labels")
    table = pd.DataFrame(rows, columns=header, dtype=str)
    files = table.pop(header[_file_column(rows, header)]).tolist()
    others = [name for name in header if name in table]

    one = next((name for wanted in LABEL_COLUMNS for name in others if name.lower() == wanted), None)
    if one is None and len(others) == 1 and not set(table[others[0]].str.lower()) <= BINARY.keys():
        one = others[0]
    if one is not None:
        sets = split_labels(table.pop(one).tolist(), known)
        return Rows(files, sets, columns=table)

    columns = [name for name in others if name in known]
    columns = columns or [name for name in others if name and _binary(table[name])]
    if not columns:
        message = f"no column of labels among {', '.join(header)}; name it labels, or give a 0/1 column for each label"
        raise ConfigError(f"{labels}: {message}", key="labels")
    present = pd.DataFrame({name: table.pop(name).str.lower().map(BINARY) for name in columns})
    for name in columns:
        if present[name].isna().any():
            row = int(present[name].isna().to_numpy().argmax())
            message = f"column {name!r} must be 0 or 1, got {rows[row][header.index(name)]!r} in row {row + 2}"
            raise ConfigError(f"{labels}: {message}", key="labels")
    matrix = present.to_numpy(bool)
    return Rows(
        files,
        [frozenset(name for name, yes in zip(columns, row, strict=True) if yes) for row in matrix],
        classes=None if classes else {name: name for name in columns},
        columns=table,
    )


def read_paper(images: Path, labels: Path | None, classes: dict[str, str] | None) -> Rows:
    """The label file of Yue et al. (2019): no header, ``0.jpg<TAB>13,18``."""
    assert labels is not None
    rows = table_of(labels, "labels", separators="\t")
    if len(rows[0]) != 2:
        raise ConfigError(f"{labels}: needs two columns by tab, got {len(rows[0])}; try format: csv", key="labels")
    return Rows([row[0] for row in rows], split_labels([row[1] for row in rows]))
