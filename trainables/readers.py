"""What label files look like on disk: one function a format, and the table of them.

A reader only says which file carries which labels, in the words of the label file. Names, duplicates and the label
matrix are the business of :mod:`trainables.datasets`.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd

from spaces.errors import ConfigError

FILE_COLUMNS = ("filename", "file_name", "file", "image", "image_name", "image_id", "image_path", "path", "name", "id")
"""Headings under which label files keep the file name, the most telling first; upper and lower case are the same."""

LABEL_COLUMNS = ("labels", "label", "classes", "class", "tags", "tag", "categories", "category", "targets", "target")
"""Headings of a column that holds all labels of an image."""

IMAGE_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
"""How names of image files end, in lower case."""

BINARY = {"0": False, "1": True, "0.0": False, "1.0": True, "false": False, "true": True}
"""Cells of a column that stands for one label."""


@dataclass(frozen=True)
class Rows:
    """A label file as it stands, a row for each of its rows (or images, where the format lists images).

    Args:
        files: file name of each row, as written.
        labels: label ids of each row, as written; empty where the image has none.
        classes: label id → name, in listed order, where the label file itself lists its labels.
        columns: the other columns, one row a row.
        rejected: (file, reason) of what the format itself cannot use.
    """

    files: list[str]
    labels: list[frozenset[str]]
    classes: dict[str, str] | None = None
    columns: pd.DataFrame = field(default_factory=pd.DataFrame)
    rejected: tuple[tuple[str, str], ...] = ()


def text_of(path: Path, key: str) -> str:
    """A text file in UTF-8, with or without byte order mark, or else in Latin-1."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path", key=key) from error
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def json_of(path: Path, key: str) -> Any:
    try:
        return json.loads(text_of(path, key))
    except json.JSONDecodeError as error:
        raise ConfigError(f"{path}: is not JSON ({error}); repair it or choose another file", key=key) from error


# --- CSV -------------------------------------------------------------------------------------------------------------


def table_of(path: Path, key: str, separators: str = "\t;,") -> list[list[str]]:
    """The rows of a CSV file as text, blank lines left out, all of one length (at least 2).

    The separator of columns is the one that gives every row the same number of columns; of several such the one that
    comes first in the file: ``a.jpg;1,2`` has two columns, and so has ``a.jpg,1;2``.
    """
    text = text_of(path, key)
    tables = {}
    for separator in separators:
        try:
            rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
        except csv.Error as error:
            raise ConfigError(f"{path}: is not a table of text ({error}); choose a CSV file", key=key) from error
        tables[separator] = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    if not tables[separators[0]]:
        raise ConfigError(f"{path}: holds no rows; give one row an image", key=key)
    several = [separator for separator in separators if max(map(len, tables[separator])) > 1]
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


def _looks_like_image(name: str) -> bool:
    return Path(name).suffix.lower() in IMAGE_SUFFIXES


def _file_column(rows: Sequence[Sequence[str]], header: Sequence[str]) -> int:
    """By its heading, else the first column whose cells end like image files, else the first."""
    headings = [cell.lower() for cell in header]
    images = [i for i in range(len(rows[0])) if _looks_like_image(rows[-1][i])]
    named = [headings.index(name) for name in FILE_COLUMNS if name in headings]
    return next(iter([i for i in named if i in images] + named + images), 0)


def _has_header(rows: Sequence[Sequence[str]]) -> bool:
    """The first row is a header if it holds a usual heading, or no image file although the last row does."""
    first = [cell.lower() for cell in rows[0]]
    if any(cell in FILE_COLUMNS + LABEL_COLUMNS for cell in first):
        return True
    return any(map(_looks_like_image, rows[-1])) and not any(map(_looks_like_image, rows[0]))


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
    twice = sorted({name for name in header if header.count(name) > 1})
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


# --- COCO, VOC, folders ----------------------------------------------------------------------------------------------


def read_coco(images: Path, labels: Path | None, classes: dict[str, str] | None) -> Rows:
    """COCO object annotations: an image carries the categories of its annotations; one without any has no label."""
    assert labels is not None
    content = json_of(labels, "labels")

    def need(entry: Any, key: str, where: str) -> Any:
        if not isinstance(entry, dict) or key not in entry:
            raise ConfigError(f"{labels}: {where} has no {key!r}; needs COCO's object annotations", key="labels")
        return entry[key]

    def entries(section: str, *keys: str) -> Iterator[list[Any]]:
        listed = need(content, section, "the file")
        if not isinstance(listed, list):
            raise ConfigError(f"{labels}: {section!r} must be a list, got {type(listed).__name__}", key="labels")
        for number, entry in enumerate(listed):
            yield [need(entry, key, f"{section}[{number}]") for key in keys]

    names = {str(id): str(name) for id, name in entries("categories", "id", "name")}
    twice = next((name for name, times in Counter(names.values()).items() if times > 1), None)
    if twice is not None:
        raise ConfigError(f"{labels}: two categories are named {twice!r}; give each its own name", key="labels")
    files = {id: str(file) for id, file in entries("images", "id", "file_name")}
    found: dict[Any, set[str]] = {id: set() for id in files}
    for image, category in entries("annotations", "image_id", "category_id"):
        for id, known, section in ((image, found, "images"), (str(category), names, "categories")):
            if id not in known:
                message = f"an annotation speaks of {id!r}, which is not in {section!r}; add it or drop the annotation"
                raise ConfigError(f"{labels}: {message}", key="labels")
        found[image].add(str(category))
    return Rows(list(files.values()), [frozenset(ids) for ids in found.values()], classes=names)


def read_voc(images: Path, labels: Path | None, classes: dict[str, str] | None) -> Rows:
    """A folder of Pascal VOC annotations: one XML file an image, with ``filename`` and ``object/name``."""
    assert labels is not None
    if not labels.is_dir():
        raise ConfigError(f"{labels}: format voc needs a folder of XML files, got a file", key="labels")
    files, sets = [], []
    for path in sorted(labels.glob("*.xml")):
        try:
            root = ElementTree.parse(path).getroot()
        except (ElementTree.ParseError, OSError) as error:
            raise ConfigError(f"{path}: is not XML ({error}); repair or remove it", key="labels") from error
        names = [thing.findtext("name", "").strip() for thing in root.iter("object")]
        file = root.findtext("filename", "").strip()
        for key, missing in (("filename", not file), ("object/name", "" in names)):
            if missing:
                raise ConfigError(f"{path}: has no {key!r}; needs Pascal VOC annotations", key="labels")
        files.append(file)
        sets.append(frozenset(names))
    return Rows(files, sets)


def read_folders(images: Path, labels: Path | None, classes: dict[str, str] | None) -> Rows:
    """A folder for each label below the image folder; whatever lies deeper belongs to it. Hidden files are left out."""
    if labels is not None:
        raise ConfigError(f"format folders takes its labels from data.images, got {labels}; remove it", key="labels")
    if not images.is_dir():
        raise ConfigError(f"needs a folder for each label, got {images}, which is no folder", key="images")
    found = [path.relative_to(images) for path in sorted(images.rglob("*")) if _looks_like_image(path.name)]
    found = [path for path in found if not any(part.startswith(".") for part in path.parts)]
    placed = [path for path in found if len(path.parts) > 1]
    loose = tuple((path.name, "not in the folder of a label") for path in found if len(path.parts) == 1)
    return Rows([path.as_posix() for path in placed], [frozenset([path.parts[0]]) for path in placed], rejected=loose)


READERS: dict[str, Callable[[Path, Path | None, dict[str, str] | None], Rows]] = {
    "csv": read_csv,
    "paper": read_paper,
    "coco": read_coco,
    "voc": read_voc,
    "folders": read_folders,
}
"""``data.format`` → reader of (image folder, label file or folder, listed classes)."""


def detect_format(labels: Path | None) -> str:
    """What ``format: auto`` takes the labels for."""
    if labels is None:
        return "folders"
    if labels.is_dir():
        return "voc"
    if labels.suffix.lower() == ".json":
        return "coco"
    first_line = text_of(labels, "labels").lstrip().partition("\n")[0]
    return "paper" if re.fullmatch(r"[^\t]+\.\w+\t\d+(,\d+)*\s*", first_line) else "csv"
