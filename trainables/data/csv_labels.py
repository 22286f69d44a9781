"""Labels in a table: the role of each column, and the rows that result."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pandas as pd

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.spaces.words import counted
from thaw.trainables.data.absent_rows import absent_rows
from thaw.trainables.data.cells import CellError, label_sets
from thaw.trainables.data.columns import distinct
from thaw.trainables.data.headings import FILE_HEADINGS, LABEL_HEADINGS, heading
from thaw.trainables.data.label_files import Rows, looks_like_image, text_of
from thaw.trainables.data.one_hot import binary_sets, columns_by_label, first_names, how_declared, is_binary
from thaw.trainables.data.parts import is_split_heading, parts_of
from thaw.trainables.data.presence import Pair, as_digits
from thaw.trainables.data.reading import Source
from thaw.trainables.data.split_lists import refuse_split, split_beside
from thaw.trainables.data.tables import Table, read_table, split_rows, spread

MAX_OTHER_ROWS = 0.1
"""Largest fraction of rows that are dropped because they name no image."""


def read_csv(source: Source) -> Rows:
    """A table with a column of file names, and either one column with all labels or a 0/1 column for each label.

    ``data.columns`` names the columns; otherwise they are recognised by headings and cells. If ``data.classes`` is
    given, the 0/1 columns are those it lists.
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
    rows, table_notes = split_rows(text, path, "labels", separators="\t")
    notes += table_notes
    if len(rows[0]) != 2:
        message = f"must have two columns separated by a tab, got {len(rows[0])}; try data.format: csv"
        raise ConfigError(f"{path}: {message}", key="labels")
    cells = [row[1] for row in rows]
    refuse_split(path, "labels", cells, [row[0] for row in rows], headed=False)
    separator = "," if source.reading.separator == "auto" and any("," in cell for cell in cells) else "auto"
    sets = label_sets("labels", cells, source.known, separator, notes)
    return Rows([row[0].strip() for row in rows], sets, notes=tuple(notes))


def rows_of(table: Table, source: Source) -> Rows:
    """The rows of a table of labels.

    Raises:
        ConfigError: the roles of the columns are not clear, or a column of labels holds something else.
    """
    path = source.place
    roles = _roles(table, source)
    if not roles.binary:
        roles.notes.extend(absent_rows(table, (roles.image, *roles.labels), source))
    beside = None if source.labels is None or source.reading.reserved else split_beside(source.labels)
    notes = [*table.notes, *roles.notes, *([beside] if beside else [])]
    rejected = _drop_rows_without_image(table, roles.image, source)
    files = [cell.strip() for cell in table.columns[roles.image]]
    classes = None
    try:
        if roles.binary:
            columns = {name: table.columns[name] for name in roles.labels}
            if roles.pair:
                columns = {name: as_digits(cells, roles.pair) for name, cells in columns.items()}
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
    broken = next((row for row, file in enumerate(files) if "\n" in file or "\r" in file), None)
    if broken is not None:
        message = f"the file name in row {table.line(broken)} spans several lines; close the quote before it"
        raise ConfigError(f"{path}: {message}", key="labels")
    others = {
        name: [cell.strip() for cell in cells]
        for name, cells in table.columns.items()
        if name != roles.image and name not in roles.labels
    }
    return Rows(files, sets, classes, pd.DataFrame(others, dtype=object), tuple(rejected), tuple(notes))


def _drop_rows_without_image(table: Table, image: str, source: Source) -> list[tuple[str, str]]:
    """Drops rows that name no image if nearly all others do: totals, units, rules below the headings.

    Otherwise their cells in the column of labels would become labels.
    """
    files = [cell.strip() for cell in table.columns[image]]
    others = [row for row, file in enumerate(files) if re.search(r"^[^/\\]+$", file) and not looks_like_image(file)]
    if not others or len(others) > MAX_OTHER_ROWS * len(files):
        return []
    is_file = _is_file(source)
    others = [row for row in others if not is_file(files[row])]
    dropped = set(others)
    table.columns = {
        name: [cell for row, cell in enumerate(cells) if row not in dropped] for name, cells in table.columns.items()
    }
    return [(files[row], "not the name of an image") for row in others]


@dataclass(frozen=True)
class _Roles:
    """The column of file names, the columns of labels, whether those are 0/1 columns, and what they hold instead."""

    image: str
    labels: tuple[str, ...]
    binary: bool
    notes: list[str]
    pair: Pair | None = None


def _is_file(source: Source) -> Callable[[str], bool]:
    """Returns whether a cell names an image: by its extension, or because the image folder holds it."""
    exists = _exists(source)
    return lambda cell: bool(cell) and (looks_like_image(cell) or exists(cell))


def _exists(source: Source) -> Callable[[str], bool]:
    """Returns whether a cell names a file in the image folder."""
    prefix = f"{source.base}/" if source.base else ""
    return lambda cell: bool(cell) and (source.files.knows(cell) or bool(prefix and source.files.knows(prefix + cell)))


def _roles(table: Table, source: Source) -> _Roles:
    reading, names = source.reading, list(table.columns)
    image_names = [reading.image] if reading.image else []
    for key, requested in (("columns.image", image_names), ("columns.labels", reading.labels)):
        for name in requested:
            if name not in table.columns:
                raise ConfigError(f"{source.place}: has no column {name!r}{did_you_mean(name, names)}", key=key)
    notes: list[str] = []
    image = reading.image or _image_column(table, source)
    if reading.image is None and heading(image) not in FILE_HEADINGS and table.headed:
        notes.append(f"file names are in column {image!r}")
    others = [name for name in names if name != image]
    if reading.labels:
        try:
            binary, pair = how_declared(reading.labels, table)
        except CellError as error:
            raise ConfigError(f"{source.place}: {error.message}", key="columns.labels") from None
        return _Roles(image, reading.labels, binary, notes, pair)
    free = [name for name in others if name not in reading.reserved]
    for name in free:
        parts = parts_of(name, map(str.strip, distinct(table.columns[name])))
        if parts is not None and len(free) > 1 and (is_split_heading(name) or len(set(parts.values())) > 1):
            notes.append(f"column {name!r} looks like a split and is not used; set data.split.column: {name} to use it")
        elif parts is None and is_split_heading(name):
            notes.append(
                f"column {name!r} looks like a split and is not used: its cells are not train, validation or test"
            )
    free = [name for name in free if not is_split_heading(name)]
    if not table.headed and len(others) > 1:
        raise ConfigError(
            f"{source.place}: has {counted(len(names), 'column')} without headings; add a first row with "
            f"headings, such as "
            "filename,labels",
            key="labels",
        )
    label_column = next((name for usual in LABEL_HEADINGS for name in free if heading(name) == usual), None)
    candidates = [name for name in free if not _is_row_index(table, name)]
    if (
        label_column is None
        and len(candidates) == 1
        and (not table.headed or not is_binary(table.columns[candidates[0]]))
    ):
        label_column = candidates[0]
        if table.headed:
            notes.append(f"labels are in column {label_column!r}")
    if label_column is not None:
        refuse_split(source.place, label_column, table.columns[label_column], table.columns[image], table.headed)
        numbered = rf"{heading(label_column)}_?\d+"
        more = [name for name in candidates if name != label_column and re.fullmatch(numbered, heading(name))]
        if more:
            raise ConfigError(
                f"{source.place}: column {label_column!r} and {', '.join(map(repr, more))} seem to hold labels; set "
                f"data.columns.labels: [{', '.join([label_column, *more])}] to use all, or {label_column} to use one",
                key="labels",
            )
        if table.headed and (unused := [name for name in candidates if name != label_column]):
            notes.append(f"columns not used as labels: {first_names(unused)}")
        return _Roles(image, (label_column,), False, notes)
    try:
        pair, binary_columns = columns_by_label(free, candidates, source.known, table, notes)
    except CellError as error:
        raise ConfigError(f"{source.place}: {error.message}", key="labels") from None
    if not binary_columns and others and all(map(is_split_heading, others)):
        raise ConfigError(
            f"{source.place}: holds a split ({', '.join(others)}) and no labels; give the label file, with the split "
            "in a column for data.split.column",
            key="labels",
        )
    if not binary_columns:
        raise ConfigError(
            f"{source.place}: no column of labels among {', '.join(names)}{_few_values(candidates, table)}; name it by "
            "data.columns.labels, change its heading to labels, or give a 0/1 column for each label",
            key="labels",
        )
    if others := [name for name in candidates if name not in binary_columns and not is_binary(table.columns[name])]:
        notes.append(f"columns not used as labels: {first_names(others)}")
    return _Roles(image, tuple(binary_columns), True, notes, pair)


def _few_values(names: Sequence[str], table: Table) -> str:
    """The values of the first column that has only two or three, for errors: they may stand for 0 and 1."""
    for name in names:
        values = sorted({cell.strip()[:20] for cell in distinct(table.columns[name])})
        if 2 <= len(values) <= 3 and len(table) > 3:
            return f" ({name!r} holds {', '.join(map(repr, values))})"
    return ""


def _image_column(table: Table, source: Source) -> str:
    """The column with a usual heading whose cells name images; else the first whose cells do; else by heading alone."""
    exists = _exists(source)
    reserved = {*source.reading.labels, *source.reading.reserved}
    names = [name for name in table.columns if name not in reserved] or list(table.columns)
    usual = [name for word in FILE_HEADINGS for name in names if table.headed and heading(name) == word]
    named = [name for name in names if all(looks_like_image(cell.strip()) for cell in spread(table.columns[name]))]
    # Most, not all, as some images may be absent. A column of URLs has the extensions of images, too.
    found = named and any(_most(exists, table.columns[name]) for name in named)
    existing = [] if found else [name for name in names if _most(exists, table.columns[name])]
    last = [name for name in names if looks_like_image(table.columns[name][-1].strip())]
    images = existing or named or last
    return next(iter([name for name in usual if name in images] + images + usual + names))


def _most(exists: Callable[[str], bool], cells: Sequence[str]) -> bool:
    found = [exists(cell.strip()) for cell in spread(cells)]
    return sum(found) > len(found) / 2


def _is_row_index(table: Table, name: str) -> bool:
    """Whether a column is a pandas index: it counts the rows, and has no heading, or one such as `Unnamed: 0`."""
    if not (name.startswith("column ") or name.startswith("Unnamed:") or heading(name) == "index"):
        return False
    cells = table.columns[name]
    return table.headed and all(cell.strip() in (str(row), str(row + 1)) for row, cell in enumerate(cells))
