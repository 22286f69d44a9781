"""The data set of a search: which images there are and which labels each one carries."""

from __future__ import annotations

import hashlib
import os
import posixpath
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.trainables.data.csv_labels import table_of
from thaw.trainables.data.formats import READERS, detect_format
from thaw.trainables.data.label_files import Rows, json_of

__all__ = ["READERS", "Dataset", "read_dataset"]

MAX_CELLS = 10**9
"""Labels times images that the label matrix may hold, a byte each: a column of remarks has a label for each image."""


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and their labels, as the label file gives them; whether the images can be read is not asked here.

    Args:
        root: image folder; ``root / files[i]`` is image i.
        files: unique names below `root`, with ``/``, in the order of the label file.
        labels: bool (images, labels); a row without any label is a negative for all of them.
        classes: label names, in the order of the columns of `labels`.
        ids: what the label file calls them, in the same order; the names themselves where no others are listed.
        columns: the other columns of the label file as text, one row an image.
        rejected: (file, reason) of the label rows that cannot be used.
        notes: what was guessed, what was left out, and what looks wrong, a sentence each.
    """

    root: Path
    files: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    columns: pd.DataFrame
    rejected: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def single_label(self) -> bool:
        """Whether every image has exactly one label."""
        return bool((self.labels.sum(axis=1) == 1).all())

    @property
    def names_digest(self) -> str:
        """Hex digest of the file names in their order, so that row numbers can be understood later."""
        names = "\0".join(self.files).encode(errors="surrogateescape")
        return hashlib.blake2b(names, digest_size=16).hexdigest()

    def absent(self) -> list[str]:
        """The files that do not exist below `root`; every folder is listed once, no file is opened.

        A folder that must not be listed counts as complete: why its files cannot be read is said when they are.
        """
        folders = {folder: _listing(self.root / folder) for folder in set(map(posixpath.dirname, self.files))}
        return [
            file
            for file in self.files
            if (names := folders[posixpath.dirname(file)]) is not None and posixpath.basename(file) not in names
        ]


def read_dataset(
    images: Path, labels: Path | None = None, format: str = "auto", classes: Path | None = None
) -> Dataset:
    """Reads the labels; the images need not be there, unless the folders they lie in are the labels.

    A file in several rows with the same labels is used once; with different labels, not at all.

    Args:
        images: the image folder.
        labels: label file, or folder of annotation files; none where each label is a folder below `images`.
        format: a key of `READERS`, or ``auto``.
        classes: names for label ids, and the order of labels: JSON ``{id: name}`` or ``[name, …]``, or a CSV of id and
            name. Without it, labels are sorted: by number where all are whole numbers, else by letter.

    Raises:
        ConfigError: the labels cannot be read, a label is not among `classes`, or there are fewer than two labels.
    """
    if labels is not None:
        _check_there(labels)
    if format not in ("auto", *READERS):
        raise ConfigError(f"unknown format {format!r}{did_you_mean(format, ['auto', *READERS])}", key="format")
    if labels is None and format not in ("auto", "folders"):
        raise ConfigError(f"format {format} needs a label file; add data.labels", key="labels")
    listed = None if classes is None else _read_classes(classes)
    rows = READERS[detect_format(labels) if format == "auto" else format](images, labels, listed)
    if not rows.files:
        place = f"{labels}: holds no rows" if labels else f"{images}: holds no image in the folder of a label"
        raise ConfigError(f"{place}; give one or more for every image", key="labels" if labels else "images")

    names = listed or rows.classes
    ids = rows.labels if names is None else _named(rows.labels, names, source=classes or labels)
    files, kept, rejected = _unique(rows, ids)
    if not files:
        file, reason = rejected[0]
        raise ConfigError(f"{labels or images}: no row can be used (first: {file}: {reason}); mend them", key="labels")
    order = _sorted_labels(label for i in kept for label in ids[i]) if names is None else list(names.values())
    if len(order) < 2:
        raise ConfigError(
            f"{labels or images}: needs two labels or more, got {', '.join(order) or 'none'}; "
            "for one label against the rest, label the others too (for instance with none)",
            key="labels" if labels else "images",
        )
    _check_order(order, len(kept), labels or images)
    column = {label: number for number, label in enumerate(order)}
    matrix = np.zeros((len(kept), len(order)), bool)
    for row, i in enumerate(kept):
        matrix[row, [column[label] for label in ids[i]]] = True
    columns = rows.columns.reindex(kept).reset_index(drop=True)
    return Dataset(images, files, matrix, tuple(order), tuple(names or order), columns, rejected)


def _check_there(labels: Path) -> None:
    try:
        labels.stat()
    except FileNotFoundError:
        message = f"{labels} does not exist; give a label file or a folder of annotations"
        raise ConfigError(message, key="labels") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{labels}: cannot be read ({error}); check the path", key="labels") from None


def _check_order(order: Sequence[str], images: int, source: Path) -> None:
    """Label names can be written as text, and their matrix fits into memory."""
    for name in order:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{source}: a label must be text, got {name!r} ({error.reason})", key="labels") from None
    if len(order) * images > MAX_CELLS:
        raise ConfigError(
            f"{source}: {len(order)} different labels for {images} images; is this the column of labels?", key="labels"
        )


def _read_classes(path: Path) -> dict[str, str]:
    """Label id → name, in listed order."""
    if path.suffix.lower() == ".json":
        content = json_of(path, "classes")
        if not isinstance(content, dict | list):
            kind = type(content).__name__
            raise ConfigError(f"{path}: must be {{id: name}} or [name, …], got {kind}", key="classes")
        pairs = list(content.items()) if isinstance(content, dict) else [(name, name) for name in content]
        pairs = [(str(id), str(name)) for id, name in pairs]
    else:
        rows = table_of(path, "classes")
        if [cell.lower() for cell in rows[0][-1:]] in (["name"], ["label"], ["class"]):
            rows = rows[1:]
        pairs = [(row[0], row[1]) for row in rows]
    for position, what in ((0, "id"), (1, "name")):
        seen = Counter(pair[position] for pair in pairs)
        twice = next((word for word, times in seen.items() if times > 1), None)
        if twice is not None:
            raise ConfigError(f"{path}: lists the {what} {twice!r} twice; every label needs its own", key="classes")
    return dict(pairs)


def _named(labels: list[frozenset[str]], names: dict[str, str], source: Path | None) -> list[frozenset[str]]:
    """Names for ids; a label file may use the names themselves, too."""
    known = {name: name for name in names.values()} | names
    unknown = sorted({label for row in labels for label in row if label not in known})
    if unknown:
        message = f"label {unknown[0]!r} is not listed in {source}; add it there, or correct the label file"
        raise ConfigError(message, key="classes")
    return [frozenset(known[label] for label in row) for row in labels]


def _sorted_labels(labels: Iterable[str]) -> list[str]:
    different = sorted(set(labels))
    return sorted(different, key=int) if all(re.fullmatch(r"-?[0-9]+", label) for label in different) else different


def _listing(folder: Path) -> set[str] | None:
    """What a folder holds; None where that cannot be found out."""
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except (OSError, ValueError):
        return None


def _inside(name: str) -> str | None:
    """The name below the image folder in one spelling (``./a//b.jpg``, ``a\\b.jpg`` → ``a/b.jpg``); None if outside."""
    path = posixpath.normpath(name.replace("\\", "/"))
    outside = path.startswith("/") or path.split("/", 1)[0] == ".." or re.match(r"[A-Za-z]:/", path)
    return None if outside else path


def _unique(rows: Rows, labels: list[frozenset[str]]) -> tuple[tuple[str, ...], list[int], tuple[tuple[str, str], ...]]:
    """(files, their row numbers, rejected): one row for each file that can be used."""
    numbers: dict[str, list[int]] = defaultdict(list)
    rejected = list(rows.rejected)
    for i, name in enumerate(rows.files):
        path = _inside(name)
        if path is None or path == ".":
            rejected.append((name, "no file name" if path else "outside the image folder"))
        else:
            numbers[path].append(i)
    kept = {}
    for path, same in numbers.items():
        if len({labels[i] for i in same}) == 1:
            kept[path] = same[0]
            rejected += [(path, "duplicate row")] * (len(same) - 1)
        else:
            rejected += [(path, "rows with contradicting labels")] * len(same)
    return tuple(kept), list(kept.values()), tuple(rejected)
