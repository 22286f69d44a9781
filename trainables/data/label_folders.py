"""A folder for each label, with folders for train, validation and test above them where there are any."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.csv_labels import read_csv
from thaw.trainables.data.encodings import Unreadable, decode_text
from thaw.trainables.data.label_files import Rows, bytes_of, looks_like_image
from thaw.trainables.data.own_results import holds_own_results
from thaw.trainables.data.parts import (
    PART_WORDS,
    called_split,
    part_of,
    part_within,
    parts_of_folders,
    without_part,
)
from thaw.trainables.data.reading import Source

NO_IMAGES = (
    *(".cfg", ".csv", ".db", ".doc", ".docx", ".html", ".ini", ".ipynb", ".json", ".jsonl", ".lnk", ".log", ".md"),
    *(".npy", ".npz", ".parquet", ".pdf", ".pkl", ".pt", ".pth", ".py", ".safetensors", ".sh", ".toml", ".tsv"),
    *(".txt", ".url", ".xls", ".xlsx", ".xml", ".yaml", ".yml", ".zip"),
)
"""Endings of files among images that are not images. Any other ending may be an image that cannot be read here."""

NO_LABELS = (
    *("images", "image", "imgs", "img", "photos", "pictures", "jpegimages", "labels", "annotations", "imagesets"),
    *("masks", "mask", "segmentationclass", "segmentationobject", "groundtruth", "ground_truth", "gt"),
)
"""Folders of a data set that are no labels if there are no others, in upper or lower case."""

METADATA = tuple(f"metadata.{ending}" for ending in ("csv", "jsonl", "parquet"))
"""Names of the table that the `imagefolder` format of Hugging Face puts beside the images."""


def metadata_files(images: Path) -> list[Path]:
    """The tables of an `imagefolder`: in the image folder itself, or in its folders for train, validation and test.

    A table of that name without ``file_name`` is about something else.
    """
    try:
        parts = sorted(name for name in os.listdir(images) if part_of(name) is not None)
    except OSError:
        return []
    tables = [images / place / name for place in ("", *parts) for name in METADATA]
    return [path for path in tables if path.is_file() and b"file_name" in bytes_of(path, "images")]


def read_imagefolder(source: Source) -> Rows:
    """Images with ``metadata.csv``, ``.jsonl`` or ``.parquet`` beside them, as Hugging Face's `imagefolder` has it.

    ``file_name`` counts from the folder of its table. Tables in folders for train, validation and test are a split.
    """
    tables = metadata_files(source.images)
    if not tables:
        needed = " or ".join(METADATA)
        raise ConfigError(f"{source.images}: format imagefolder needs {needed} with file_name in it", key="images")
    every = []
    for path in tables:
        place = path.parent.relative_to(source.images).as_posix()
        prefix = "" if place == "." else f"{place}/"
        rows = read_csv(Source(source.images, path, source.known, source.reading))
        files = [prefix + file for file in rows.files]
        every.append((Rows(files, rows.labels, rows.classes, rows.columns, rows.rejected, rows.notes), part_of(place)))
    parts = [part for rows, part in every for _ in rows.files]
    return Rows(
        files=[file for rows, _ in every for file in rows.files],
        labels=[labels for rows, _ in every for labels in rows.labels],
        classes=every[0][0].classes,
        columns=pd.concat([rows.columns for rows, _ in every], ignore_index=True).fillna(""),
        rejected=tuple(row for rows, _ in every for row in rows.rejected),
        notes=tuple(dict.fromkeys(note for rows, _ in every for note in rows.notes)),
        parts=None if None in parts else [part for part in parts if part is not None],
    )


def read_folders(source: Source) -> Rows:
    """A folder for each label below the image folder; whatever lies deeper belongs to it.

    Where the folders on top are called train, val, test or the like, they are the split, and the folders in them are
    the labels; a folder in between that repeats the name, or is called images, is passed through. Links are followed,
    also to folders elsewhere, and each folder is read once for a label, so that links in a circle end. Hidden files and
    folders are left out, and so is what Thaw wrote.

    Raises:
        ConfigError: a folder cannot be read, a label has no file, or the folders are no labels.
    """
    images = source.images
    if source.labels is not None:
        raise ConfigError(
            f"format folders takes its labels from data.images, got {source.labels}; remove it", key="labels"
        )
    root = _Folder(images)
    walk = _Walk(source)
    walk.add_loose(root, "")
    tops = [name for name in root.folders if not walk.leaves_out(name)]
    named = parts_of_folders(tops)
    split = bool(named) and (len(named) == len(tops) or len(set(named.values())) > 1)
    labels: list[tuple[str, str, int | None]] = [(name, name, None) for name in tops]
    if len(named) == 1 == len(tops) and not _Folder(images / tops[0]).folders:
        split = False
    if not split:
        _check_labels(images, tops)
        _check_no_part(images, tops, named, walk.notes)
        labels = _parts_within_labels(images, tops, walk.notes) or labels
    elif not any(_Folder(images / name).folders for name in named):
        raise _no_labels_within(images, named)
    else:
        labels = []
        for name in tops:
            if name in named:
                inner, top = walk.labels_below(name)
                labels += [(f"{inner}/{label}", label, named[name]) for label in top.folders]
            else:
                walk.rejected.append((name, f"folder beside {' and '.join(sorted(named))}"))
        words = ", ".join(f"{name} ({PART_WORDS[part]})" for name, part in named.items())
        walk.notes.append(f"the folders {words} are the split")
    _check_labels(images, {label for _, label, _ in labels})
    for folder, label, part in labels:
        walk.add_label(folder, walk.name_of(label), part, root.identity)
    return walk.rows()


LABEL_WORDS = ("train", "training", "valid", "dev", "development", "devel", "eval")
"""Words for parts that may as well be labels (a train beside a bus, valid beside invalid)."""


UNLABELLED = ("unlabeled", "unlabelled", "unsup", "unsupervised")
"""Folders of images without labels."""


def _check_labels(images: Path, names: Collection[str]) -> None:
    """Raises a ConfigError where folders are those of a data set (images, masks) or numbered folds, and no labels."""
    if len(names) > 1 and all(without_part(name) in (*NO_LABELS, "") for name in names):
        raise ConfigError(
            f"{images}: the folders {', '.join(sorted(names))} are no labels; give each label a folder of its own, or "
            "name the folder of images by data.images and a label file by data.labels",
            key="images",
        )
    if len(names) > 1 and all(called_split(name) for name in names):
        raise ConfigError(
            f"{images}: the folders {', '.join(sorted(names))} are called like folds of a split and no labels; put the "
            "images of a label into one folder, or name a label file by data.labels, with a column for "
            "data.split.column or data.split.group",
            key="images",
        )


def _no_labels_within(images: Path, parts: Iterable[str]) -> ConfigError:
    return ConfigError(
        f"{images}: {', '.join(parts)} are parts of a split and hold no folder for each label; put one for "
        "each label into each of them, or name a label file by data.labels",
        key="images",
    )


def _check_no_part(images: Path, tops: list[str], named: dict[str, int], notes: list[str]) -> None:
    """A folder that is called like a part is hardly a label beside others.

    Raises:
        ConfigError: naming it.
    """
    for name in named:
        inside = _Folder(images / name)
        other = next((top for top in tops if top not in named), None)
        if other is None:
            continue
        if len(inside.folders) > 1 and not inside.files:
            raise ConfigError(
                f"{images}: {name} holds only folders, like one part of a split, but {other} beside it is not a part; "
                "move or rename one of them",
                key="images",
            )
        if name.casefold() not in LABEL_WORDS:
            raise ConfigError(
                f"{images}: {name} is called like a part of a split, and {other} beside it like a label; move it "
                "elsewhere, or put the labels into a folder for each part",
                key="images",
            )
        notes.append(f"the folder {name} is read as a label")
    bare = next((name for name in tops if name.casefold() in UNLABELLED), None)
    if bare is not None and len(tops) > 1:
        raise ConfigError(
            f"{images}: the folder {bare} is hardly a label; move it elsewhere, or rename it", key="images"
        )
    within = {name: part_within(name) for name in tops}
    if len(tops) > 1 and None not in within.values():
        if len(set(within.values())) > 1:
            raise _no_labels_within(images, tops)
        notes.append(f"the names of all folders speak of one part of a split; they are read as labels ({tops[0]}, …)")


def _parts_within_labels(images: Path, tops: list[str], notes: list[str]) -> list[tuple[str, str, int | None]]:
    """Folders (folder, label, part) where each label holds folders for train, validation or test and nothing else."""
    found: list[tuple[str, str, int | None]] = []
    for label in tops:
        inside = _Folder(images / label)
        parts = [(name, part_of(name)) for name in inside.folders]
        if inside.files or not parts or any(part is None for _, part in parts):
            return []
        found += [(f"{label}/{name}", label, part) for name, part in parts]
    if len({part for _, _, part in found}) < 2:
        return []
    notes.append(f"the folders within the labels are the split ({found[0][0]}, …)")
    return found


@dataclass
class _Walk:
    """What is found on the way through the folders."""

    source: Source
    found: list[tuple[str, str, int | None]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    empty: dict[str, str] = field(default_factory=dict)
    deeper: str = ""

    def name_of(self, folder: str) -> str:
        """The label of a folder, whose name may be in another encoding than the system's."""
        try:
            label, guess = decode_text(os.fsencode(folder), self.source.reading.encoding)
        except Unreadable as error:
            raise ConfigError(f"{self.source.images}: the name of folder {folder!r} {error}", key="images") from None
        if guess:
            self.notes.append(f"the name of folder {folder!r} {guess}")
        return label

    def leaves_out(self, name: str) -> bool:
        """Whether Thaw wrote this folder, or it is a system's own (``__MACOSX``) and holds no image."""
        path = self.source.images / name
        reason = "written by Thaw" if holds_own_results(path) else ""
        if not reason and name.startswith(("__", "@")) and not _Folder(path).files:
            reason = "a folder of the system"
        if reason:
            self.ignored.append((name, reason))
        return bool(reason)

    def add_loose(self, folder: _Folder, prefix: str) -> None:
        self.rejected += [(prefix + file, "not in the folder of a label") for file in folder.files]
        self.ignored += [(prefix + file, "no image in the folder of a label") for file in folder.others]
        self.rejected += folder.faults(prefix)

    def labels_below(self, part: str) -> tuple[str, _Folder]:
        """The folder in which the label folders of a part lie."""
        name, folder = part, _Folder(self.source.images / part)
        self.add_loose(folder, f"{name}/")
        while len(folder.folders) == 1 and not folder.files:
            [only] = folder.folders
            inner = _Folder(self.source.images / name / only)
            if not inner.folders or (only != os.path.basename(name) and only.lower() not in NO_LABELS):
                break
            name, folder = f"{name}/{only}", inner
            self.add_loose(folder, f"{name}/")
        return name, folder

    def add_label(self, top: str, label: str, part: int | None, root: tuple[int, int]) -> None:
        before = len(self.found)
        seen, waiting = {root}, [top]
        while waiting:
            name = waiting.pop()
            folder = _Folder(self.source.images / name)
            if folder.identity in seen:
                self.rejected.append((name, "link to a folder that is read already"))
                continue
            seen.add(folder.identity)
            deeper = [f"{name}/{inner}" for inner in reversed(folder.folders)]
            self.deeper = self.deeper or next(iter(folder.folders and [f"{name}/{folder.folders[0]}"]), "")
            waiting += [inner for inner in deeper if not self.leaves_out(inner)]
            self.found += [(f"{name}/{file}", label, part) for file in folder.files]
            for file in folder.others:
                if os.path.splitext(file)[1].lower() in NO_IMAGES:
                    self.ignored.append((f"{name}/{file}", "no image"))
                else:
                    self.found.append((f"{name}/{file}", label, part))
            self.rejected += folder.faults(f"{name}/")
        if len(self.found) == before and not any(file.split("/", 1)[0] == top for file, _ in self.rejected):
            self.empty[label] = top

    def rows(self) -> Rows:
        self.found.sort(key=lambda row: row[0].split("/"))
        labels = {label for _, label, _ in self.found}
        bare = [folder for label, folder in self.empty.items() if label not in labels]
        if bare and labels:
            raise ConfigError(
                f"{self.source.images}: the folder {bare[0]} holds no image; add images of this label, or remove it",
                key="images",
            )
        if self.deeper:
            self.notes.append(f"folders within the folder of a label belong to it ({self.deeper}, …)")
        sets = {label: frozenset([label]) for label in labels}
        parts = [part for _, _, part in self.found if part is not None]
        return Rows(
            [file for file, _, _ in self.found],
            [sets[label] for _, label, _ in self.found],
            rejected=tuple(self.rejected),
            notes=tuple(self.notes),
            ignored=tuple(self.ignored),
            parts=parts or None,
        )


class _Folder:
    """What a folder holds, by name: folders, images, other files, and links that lead nowhere; no hidden ones."""

    def __init__(self, path: Path) -> None:
        self.folders: list[str] = []
        self.files: list[str] = []
        self.others: list[str] = []
        self.broken: list[str] = []
        try:
            status = os.stat(path)
            self.identity = (status.st_dev, status.st_ino)
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if not entry.name.startswith("."):
                        self._add(entry)
        except OSError as error:
            rule = f"{path} is not a readable folder ({error.strerror}), so its images would be missed"
            raise ConfigError(f"{rule}; correct the path or its permissions", key="images") from error

    def _add(self, entry: os.DirEntry[str]) -> None:
        link = entry.is_symlink()
        if link and not os.path.exists(entry):
            self.broken.append(entry.name)
        elif os.path.isdir(entry) if link else entry.is_dir():
            self.folders.append(entry.name)
        elif looks_like_image(entry.name):
            self.files.append(entry.name)
        else:
            self.others.append(entry.name)

    def faults(self, place: str) -> list[tuple[str, str]]:
        return [(place + name, "link that leads nowhere") for name in self.broken]
