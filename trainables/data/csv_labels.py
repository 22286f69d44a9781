"""Labels in a table: which column means what, and the rows that follow."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.trainables.data.cells import BINARY, CellError, label_sets
from thaw.trainables.data.columns import different
from thaw.trainables.data.label_files import Rows, looks_like_image, text_of
from thaw.trainables.data.one_hot import binary_sets, first_names, is_binary, label_columns
from thaw.trainables.data.parts import parts_of, speaks_of_split
from thaw.trainables.data.reading import Source
from thaw.trainables.data.split_lists import check_no_split, split_beside
from thaw.trainables.data.tables import (
    FILE_HEADINGS,
    LABEL_HEADINGS,
    Table,
    heading,
    read_table,
    split_rows,
    spread,
)

PRESENCE_HEADINGS = ("confidence", "present", "presence", "is_present")
"""Headings of a column that may say whether the image has the label of its row."""


FEW_ROWS = 0.1
"""Largest share of rows that may name something else than an image."""


def read_csv(source: Source) -> Rows:
    """A file name and, beside it, all labels in one column, or a 0/1 column for each label.

    The columns are those that ``data.columns`` names, else what headings and cells say. With ``data.classes`` the 0/1
    columns are those it lists.
    """
    assert source.labels is not None
    reading = source.reading
    return rows_of(read_table(source.labels, "labels", _is_file(source), reading.named, reading.encoding), source)


def read_paper(source: Source) -> Rows:
    """The label file of Yue et al. (2019): no header, ``0.jpg<TAB>13,18``."""
    path = source.labels
    assert path is not None
    notes: list[str] = []
    text = text_of(path, "labels", source.reading.encoding, notes)
    rows, said = split_rows(text, path, "labels", separators="\t")
    notes += said
    if len(rows[0]) != 2:
        raise ConfigError(f"{path}: needs two columns by tab, got {len(rows[0])}; try format: csv", key="labels")
    cells = [row[1] for row in rows]
    check_no_split(path, "labels", cells, [row[0] for row in rows], headed=False)
    separator = "," if source.reading.separator == "auto" and any("," in cell for cell in cells) else "auto"
    sets = label_sets("labels", cells, source.known, separator, notes)
    return Rows([row[0].strip() for row in rows], sets, notes=tuple(notes))


def rows_of(table: Table, source: Source) -> Rows:
    """The rows of a table of labels.

    Raises:
        ConfigError: it does not say which column holds what, or a column of labels holds no labels.
    """
    path = source.place
    roles = _roles(table, source)
    _check_present(table, roles, source)
    beside = None if source.labels is None or source.reading.reserved else split_beside(source.labels)
    notes = [*table.notes, *roles.notes, *([beside] if beside else [])]
    rejected = _drop_rows_without_image(table, roles.image, source)
    files = [cell.strip() for cell in table.columns[roles.image]]
    classes = None
    try:
        if roles.binary:
            columns = {name: table.columns[name] for name in roles.labels}
            sets, dropped = binary_sets(columns, source.reading.uncertain, table.line, notes)
            rejected += [(files[row], f"label {label!r} is uncertain") for row, label in dropped.items()]
            if dropped:
                kept = [row for row in range(len(files)) if row not in dropped]
                files, sets = [files[row] for row in kept], [sets[row] for row in kept]
                table.columns = {
                    name: [cells[row] for row in kept] for name, cells in table.columns.items() if name not in columns
                }
            classes = None if source.known else {name: name for name in roles.labels}
        else:
            each = [
                label_sets(name, table.columns[name], source.known, source.reading.separator, notes)
                for name in roles.labels
            ]
            sets = each[0] if len(each) == 1 else [frozenset().union(*row) for row in zip(*each, strict=True)]
    except CellError as error:
        raise ConfigError(f"{path}: {error.message}", key="labels") from None
    torn = next((row for row, file in enumerate(files) if "\n" in file or "\r" in file), None)
    if torn is not None:
        message = f"the file name in row {table.line(torn)} runs over several lines; close the quote before it"
        raise ConfigError(f"{path}: {message}", key="labels")
    others = {
        name: [cell.strip() for cell in cells]
        for name, cells in table.columns.items()
        if name != roles.image and name not in roles.labels
    }
    return Rows(files, sets, classes, pd.DataFrame(others, dtype=object), tuple(rejected), tuple(notes))


def _drop_rows_without_image(table: Table, image: str, source: Source) -> list[tuple[str, str]]:
    """Takes rows out that name no image where nearly all others do: totals, units, rules below the headings.

    Otherwise what they say in the column of labels would be a label.
    """
    files = [cell.strip() for cell in table.columns[image]]
    odd = [row for row, file in enumerate(files) if re.search(r"^[^/\\]+$", file) and not looks_like_image(file)]
    if not odd or len(odd) > FEW_ROWS * len(files):
        return []
    is_file = _is_file(source)
    odd = [row for row in odd if not is_file(files[row])]
    dropped = set(odd)
    table.columns = {
        name: [cell for row, cell in enumerate(cells) if row not in dropped] for name, cells in table.columns.items()
    }
    return [(files[row], "not called like an image") for row in odd]


@dataclass(frozen=True)
class _Roles:
    """Which column holds the file names, which hold labels, and whether those are 0/1 columns."""

    image: str
    labels: tuple[str, ...]
    binary: bool
    notes: list[str]


def _is_file(source: Source) -> Callable[[str], bool]:
    """Whether a cell names an image: by its ending, or because the image folder holds it."""
    there = _is_there(source)
    return lambda cell: bool(cell) and (looks_like_image(cell) or there(cell))


def _is_there(source: Source) -> Callable[[str], bool]:
    """Whether the image folder holds what a cell names."""
    prefix = f"{source.base}/" if source.base else ""
    return lambda cell: bool(cell) and (source.files.knows(cell) or bool(prefix and source.files.knows(prefix + cell)))


def _roles(table: Table, source: Source) -> _Roles:
    reading, names = source.reading, list(table.columns)
    for key, asked in (("columns.image", [reading.image] if reading.image else []), ("columns.labels", reading.labels)):
        for name in asked:
            if name not in table.columns:
                raise ConfigError(f"{source.place}: has no column {name!r}{did_you_mean(name, names)}", key=key)
    notes: list[str] = []
    image = reading.image or _image_column(table, source)
    if reading.image is None and heading(image) not in FILE_HEADINGS and table.headed:
        notes.append(f"file names are in column {image!r}")
    others = [name for name in names if name != image]
    if reading.labels:
        binary = len(reading.labels) > 1 and all(is_binary(table.columns[name]) for name in reading.labels)
        return _Roles(image, reading.labels, binary, notes)
    free = [name for name in others if name not in reading.reserved]
    for name in free:
        parts = parts_of(name, map(str.strip, different(table.columns[name])))
        if parts is not None and len(free) > 1 and (speaks_of_split(name) or len(set(parts.values())) > 1):
            notes.append(f"column {name!r} looks like a split and is not used; set data.split.column: {name} to use it")
        elif parts is None and speaks_of_split(name):
            notes.append(f"column {name!r} looks like a split, does not say train, validation or test, and is not used")
    free = [name for name in free if not speaks_of_split(name)]
    if not table.headed and len(others) > 1:
        raise ConfigError(
            f"{source.place}: has {len(names)} columns without headings; name them in a first row, such as "
            "filename,labels",
            key="labels",
        )
    one = next((name for usual in LABEL_HEADINGS for name in free if heading(name) == usual), None)
    measured = [name for name in free if not _counts_rows(table, name)]
    if one is None and len(measured) == 1 and (not table.headed or not is_binary(table.columns[measured[0]])):
        one = measured[0]
        if table.headed:
            notes.append(f"labels are in column {one!r}")
    if one is not None:
        check_no_split(source.place, one, table.columns[one], table.columns[image], table.headed)
        if table.headed and (unused := [name for name in measured if name != one]):
            notes.append(f"columns not used as labels: {first_names(unused)}")
        return _Roles(image, (one,), False, notes)
    listed = [name for name in free if name in source.known]
    binary_columns = listed or label_columns([name for name in free if is_binary(table.columns[name])], table, notes)
    if not binary_columns and others and all(map(speaks_of_split, others)):
        raise ConfigError(
            f"{source.place}: says a split ({', '.join(others)}) and no labels; name the label file, and put "
            "the split into a column of it for data.split.column",
            key="labels",
        )
    if not binary_columns:
        raise ConfigError(
            f"{source.place}: no column of labels among {', '.join(names)}; name it labels, or under "
            "data.columns.labels, or give a 0/1 column for each label",
            key="labels",
        )
    if others := [name for name in measured if name not in binary_columns and not is_binary(table.columns[name])]:
        notes.append(f"columns not used as labels: {first_names(others)}")
    return _Roles(image, tuple(binary_columns), True, notes)


def _image_column(table: Table, source: Source) -> str:
    """By its heading, if its cells name images; else the first column whose cells do; else by its heading alone."""
    is_there = _is_there(source)
    reserved = {*source.reading.labels, *source.reading.reserved}
    names = [name for name in table.columns if name not in reserved] or list(table.columns)
    usual = [name for word in FILE_HEADINGS for name in names if table.headed and heading(name) == word]
    ending = [name for name in names if all(looks_like_image(cell.strip()) for cell in spread(table.columns[name]))]
    # Most, as some images may be absent. Addresses on the web end like images, too, beside the names of the files.
    there = ending and any(_most(is_there, table.columns[name]) for name in ending)
    known = [] if there else [name for name in names if _most(is_there, table.columns[name])]
    last = [name for name in names if looks_like_image(table.columns[name][-1].strip())]
    filed = known or ending or last
    return next(iter([name for name in usual if name in filed] + filed + usual + names))


def _most(is_file: Callable[[str], bool], cells: Sequence[str]) -> bool:
    found = [is_file(cell.strip()) for cell in spread(cells)]
    return sum(found) > len(found) / 2


def _counts_rows(table: Table, name: str) -> bool:
    """Whether a column is pandas' index: without a heading of its own, or `Unnamed: 0`, and it counts the rows."""
    if not (name.startswith("column ") or name.startswith("Unnamed:") or heading(name) == "index"):
        return False
    cells = table.columns[name]
    return table.headed and all(cell.strip() in (str(row), str(row + 1)) for row, cell in enumerate(cells))


def _check_present(table: Table, roles: _Roles, source: Source) -> None:
    """A column beside the labels that says 0 for a label which the image does not have.

    Open Images lists what was looked for and not found with a confidence of 0.

    Raises:
        ConfigError: there is one, and the search file does not say that all rows count.
    """
    for name in table.columns:
        if heading(name) not in PRESENCE_HEADINGS or name in (roles.image, *roles.labels) or roles.binary:
            continue
        absent = sum(BINARY.get(cell.strip().lower()) == 0 for cell in table.columns[name])
        if not absent or not is_binary(table.columns[name]):
            continue
        message = f"column {name!r} says 0 in {absent} rows, as if their images did not have the label"
        if not source.reading.labels:
            raise ConfigError(
                f"{source.place}: {message}; remove these rows, or name the column of labels by data.columns.labels "
                "to use all rows",
                key="labels",
            )
        roles.notes.append(f"{message}; all rows are used")
