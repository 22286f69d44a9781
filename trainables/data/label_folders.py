"""Labels from folders: one per label, possibly inside folders for train, validation and test."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.csv_labels import read_csv
from thaw.trainables.data.encodings import Unreadable, decode_text
from thaw.trainables.data.folder import Folder
from thaw.trainables.data.folder_names import (
    NOT_LABELS,
    check_labels,
    check_part_names,
    parts_within_labels,
    parts_without_labels,
)
from thaw.trainables.data.label_files import Rows, bytes_of
from thaw.trainables.data.own_results import holds_own_results
from thaw.trainables.data.parts import PART_WORDS, part_of, parts_of_folders
from thaw.trainables.data.reading import Source

NOT_IMAGES = (
    *(".cfg", ".csv", ".db", ".doc", ".docx", ".html", ".ini", ".ipynb", ".json", ".jsonl", ".lnk", ".log", ".md"),
    *(".npy", ".npz", ".parquet", ".pdf", ".pkl", ".pt", ".pth", ".py", ".safetensors", ".sh", ".toml", ".tsv"),
    *(".txt", ".url", ".xls", ".xlsx", ".xml", ".yaml", ".yml", ".zip"),
)
"""Extensions of files that are not images. A file with any other extension may be an image of an unknown format."""

METADATA = {
    **{f"metadata.{ending}": b"file_name" for ending in ("csv", "jsonl", "parquet")},
    "_classes.csv": b"filename",
}
"""Names of the table next to the images in Hugging Face's `imagefolder` format, and of Roboflow's → its column of file
names."""


def metadata_files(images: Path) -> list[Path]:
    """The tables of an `imagefolder`: in the image folder itself, and in its folders for train, validation and test.

    A table of that name without that column is ignored, as it has another purpose.
    """
    try:
        parts = sorted(name for name in os.listdir(images) if part_of(name) is not None)
    except OSError:
        return []
    tables = {images / place / name: column for place in ("", *parts) for name, column in METADATA.items()}
    return [path for path, column in tables.items() if path.is_file() and column in bytes_of(path, "images")]


def read_imagefolder(source: Source) -> Rows:
    """Images with a table of `METADATA` next to them: Hugging Face's `imagefolder` format, or Roboflow's.

    A file name is relative to the folder of its table. Tables in folders for train, validation and test are a split.
    """
    paths = metadata_files(source.images)
    if not paths:
        required = " or ".join(METADATA)
        message = f"format imagefolder needs {required} with a column of file names, found none; add one"
        raise ConfigError(f"{source.images}: {message}", key="images")
    tables = []
    for path in paths:
        place = path.parent.relative_to(source.images).as_posix()
        prefix = "" if place == "." else f"{place}/"
        rows = read_csv(Source(source.images, path, source.known, source.reading))
        files = [prefix + file for file in rows.files]
        tables.append((Rows(files, rows.labels, rows.classes, rows.columns, rows.rejected, rows.notes), part_of(place)))
    parts = [part for rows, part in tables for _ in rows.files]
    return Rows(
        files=[file for rows, _ in tables for file in rows.files],
        labels=[labels for rows, _ in tables for labels in rows.labels],
        classes=tables[0][0].classes,
        columns=pd.concat([rows.columns for rows, _ in tables], ignore_index=True).fillna(""),
        rejected=tuple(row for rows, _ in tables for row in rows.rejected),
        notes=tuple(dict.fromkeys(note for rows, _ in tables for note in rows.notes)),
        parts=None if None in parts else [part for part in parts if part is not None],
    )


def read_folders(source: Source) -> Rows:
    """One folder per label below the image folder; images in deeper folders have that label, too.

    If the top folders are named train, val, test or the like, they are the split, and the folders inside are the
    labels; an intermediate folder that repeats the name, or is named images, is skipped. Links are followed, even out
    of the image folder, and each folder is read once per label, so cyclic links end. Hidden files and folders and
    Thaw's own results are left out.

    Raises:
        ConfigError: a folder cannot be read, a label has no file, or the folders are not labels.
    """
    images = source.images
    if source.labels is not None:
        raise ConfigError(
            f"format folders takes its labels from the folders in data.images, got {source.labels}; remove data.labels",
            key="labels",
        )
    root = Folder(images)
    walk = _Walk(source)
    walk.add_loose(root, "")
    tops = [name for name in root.folders if not walk.leaves_out(name)]
    named = parts_of_folders(tops)
    split = bool(named) and (len(named) == len(tops) or len(set(named.values())) > 1)
    labels: list[tuple[str, str, int | None]] = [(name, name, None) for name in tops]
    if len(named) == 1 == len(tops) and not Folder(images / tops[0]).folders:
        split = False
    if not split:
        check_labels(images, tops)
        check_part_names(images, tops, named, walk.notes)
        labels = parts_within_labels(images, tops, walk.notes) or labels
    elif not any(Folder(images / name).folders for name in named):
        raise parts_without_labels(images, named)
    else:
        labels = []
        for name in tops:
            if name in named:
                inner, top = walk.labels_below(name)
                labels += [(f"{inner}/{label}", label, named[name]) for label in top.folders]
            else:
                walk.rejected.append((name, f"folder next to {' and '.join(sorted(named))}"))
        shown = ", ".join(f"{name} ({PART_WORDS[part]})" for name, part in named.items())
        walk.notes.append(f"the folders {shown} are the split")
    check_labels(images, {label for _, label, _ in labels})
    for folder, label, part in labels:
        walk.add_label(folder, walk.name_of(label), part, root.identity)
    return walk.rows()


@dataclass
class _Walk:
    """Walks through the folders and collects what they hold.

    Attributes:
        found: (file, label, part) of each image.
        rejected, ignored, notes: as in :class:`Rows`.
        empty: label → its folder, for folders without files.
        deeper: the first folder inside the folder of a label; empty if there is none.
    """

    source: Source
    found: list[tuple[str, str, int | None]] = field(default_factory=list)
    rejected: list[tuple[str, str]] = field(default_factory=list)
    ignored: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    empty: dict[str, str] = field(default_factory=dict)
    deeper: str = ""

    def name_of(self, folder: str) -> str:
        """The label of a folder. Its name may have another encoding than the file system's."""
        try:
            label, guess = decode_text(os.fsencode(folder), self.source.reading.encoding)
        except Unreadable as error:
            raise ConfigError(f"{self.source.images}: the name of folder {folder!r} {error}", key="images") from None
        if guess:
            self.notes.append(f"the name of folder {folder!r} {guess}")
        return label

    def leaves_out(self, name: str) -> bool:
        """Whether Thaw wrote this folder, or it belongs to the system (``__MACOSX``) and holds no image."""
        path = self.source.images / name
        reason = "written by Thaw" if holds_own_results(path) else ""
        if not reason and name.startswith(("__", "@")) and not Folder(path).files:
            reason = "system folder"
        if reason:
            self.ignored.append((name, reason))
        return bool(reason)

    def add_loose(self, folder: Folder, prefix: str) -> None:
        self.rejected += [(prefix + file, "not in the folder of a label") for file in folder.files]
        self.ignored += [(prefix + file, "not an image in the folder of a label") for file in folder.others]
        self.rejected += folder.faults(prefix)

    def labels_below(self, part: str) -> tuple[str, Folder]:
        """The folder that holds the label folders of a part."""
        name, folder = part, Folder(self.source.images / part)
        self.add_loose(folder, f"{name}/")
        while len(folder.folders) == 1 and not folder.files:
            [only] = folder.folders
            inner = Folder(self.source.images / name / only)
            if not inner.folders or (only != os.path.basename(name) and only.lower() not in NOT_LABELS):
                break
            name, folder = f"{name}/{only}", inner
            self.add_loose(folder, f"{name}/")
        return name, folder

    def add_label(self, top: str, label: str, part: int | None, root: tuple[int, int]) -> None:
        before = len(self.found)
        seen, waiting = {root}, [top]
        while waiting:
            name = waiting.pop()
            folder = Folder(self.source.images / name)
            if folder.identity in seen:
                self.rejected.append((name, "link to a folder that was already read"))
                continue
            seen.add(folder.identity)
            deeper = [f"{name}/{inner}" for inner in reversed(folder.folders)]
            self.deeper = self.deeper or next(iter(folder.folders and [f"{name}/{folder.folders[0]}"]), "")
            waiting += [inner for inner in deeper if not self.leaves_out(inner)]
            self.found += [(f"{name}/{file}", label, part) for file in folder.files]
            for file in folder.others:
                if os.path.splitext(file)[1].lower() in NOT_IMAGES:
                    self.ignored.append((f"{name}/{file}", "not an image"))
                else:
                    self.found.append((f"{name}/{file}", label, part))
            self.rejected += folder.faults(f"{name}/")
        if len(self.found) == before and not any(file.split("/", 1)[0] == top for file, _ in self.rejected):
            self.empty[label] = top

    def rows(self) -> Rows:
        self.found.sort(key=lambda row: row[0].split("/"))
        labels = {label for _, label, _ in self.found}
        without_images = [folder for label, folder in self.empty.items() if label not in labels]
        if without_images and labels:
            raise ConfigError(
                f"{self.source.images}: the folder {without_images[0]} holds no image; add images of this label, or "
                "remove the folder",
                key="images",
            )
        if self.deeper:
            self.notes.append(f"images in folders inside the folder of a label have that label ({self.deeper}, …)")
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
