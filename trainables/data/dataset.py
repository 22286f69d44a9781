"""The data set of a search: its images, and the labels of each."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.trainables.data.cells import note_variants
from thaw.trainables.data.class_names import named_labels, read_class_names
from thaw.trainables.data.decoding import Rejected, Square, decode_image
from thaw.trainables.data.formats import FROM_IMAGES, READERS, detect_format
from thaw.trainables.data.grey import Scales
from thaw.trainables.data.label_files import looks_like_image
from thaw.trainables.data.label_matrix import check_order, label_matrix, sorted_labels
from thaw.trainables.data.names import listing, match_names
from thaw.trainables.data.one_hot import first_names
from thaw.trainables.data.reading import Reading, Source
from thaw.trainables.data.remote import RemoteFolder
from thaw.trainables.data.rows_by_image import CONTRADICTING, join_rows
from thaw.trainables.data.source import DataSource, decode_from
from thaw.trainables.data.visible import is_visible

__all__ = ["READERS", "Dataset", "read_dataset"]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images and their labels, as the label file gives them. Whether the images can be decoded is not checked here.

    Args:
        root: image folder; ``root / files[i]`` is image i.
        files: unique names below `root`, with ``/``, in the order of the label file.
        labels: bool (images, labels); an image without any label is a negative for all of them.
        classes: label names, in the order of the columns of `labels`.
        ids: ids of the labels in the label file, in the same order; the names themselves if there are no ids.
        columns: the other columns of the label file as text, one row per image.
        rejected: (file, reason) of rows that cannot be used.
        notes: what was guessed, left out or looks wrong, one sentence each.
        ignored: (file, reason) of visible files among the images that are not images.
        parts: int8 (images,), the part of the split of each image (``parts.TRAIN`` …) if folders define it; else None.
        by_folder: each label is a folder, so a label without a usable image is an error.
        source: provides the images if they are not files; `files` are then their numbers.
        remote: the remote folder that `root` is a copy of, if any.
    """

    root: Path
    files: tuple[str, ...]
    labels: np.ndarray
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    columns: pd.DataFrame
    rejected: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    parts: np.ndarray | None = None
    by_folder: bool = False
    source: DataSource | None = None
    remote: RemoteFolder | None = None

    @property
    def on_disk(self) -> tuple[str, ...]:
        """The files below `root`; none if a source provides the images."""
        return self.files if self.source is None else ()

    def decode(self, row: int, square: Square, scales: Scales | None) -> np.ndarray:
        """An image as uint8 RGB, see :func:`thaw.trainables.data.decoding.decode_image`.

        Raises:
            Rejected: the image cannot be used.
        """
        if self.source is not None:
            return decode_from(self.source, row, square)
        if self.remote is not None:
            self.remote.fetch([self.files[row]])
        return decode_image(self.root / self.files[row], square, scales)

    @property
    def single_label(self) -> bool:
        """Whether every image has exactly one label."""
        return bool((self.labels.sum(axis=1) == 1).all())

    @property
    def names_digest(self) -> str:
        """Hex digest of the file names in order, to check later that row numbers mean the same images."""
        names = "\0".join(self.files).encode(errors="surrogateescape")
        return hashlib.blake2b(names, digest_size=16).hexdigest()

    def absent(self) -> list[str]:
        """The files that do not exist below `root`. Every folder is listed once, and no file is opened.

        The files of an unreadable folder count as present; decoding reports why they cannot be read.
        """
        folders = {folder: listing(self.root / folder) for folder in set(map(posixpath.dirname, self.on_disk))}
        return [
            file
            for file in self.on_disk
            if (names := folders[posixpath.dirname(file)]) is not None and posixpath.basename(file) not in names
        ]

    def unlisted(self) -> list[str]:
        """The visible images in the same folders that the label file does not name."""
        if self.by_folder:
            return []
        named = {*self.files, *(file for file, _ in self.rejected)}
        found = []
        for folder in sorted(set(map(posixpath.dirname, self.files))):
            names = sorted(name for name in listing(self.root / folder) or () if looks_like_image(name))
            files = [posixpath.join(folder, name) for name in names if is_visible(name)]
            found += [file for file in files if file not in named]
        return found

    def unreadable(self) -> list[tuple[str, str]]:
        """(file, reason) of files without the extension of an image that cannot be decoded.

        Only these few files are opened here; the others are checked when they are decoded.
        """
        found = []
        for file in self.on_disk if self.remote is None else ():
            if not looks_like_image(file) and (self.root / file).is_file():
                try:
                    decode_image(self.root / file, Square(8))
                except Rejected as rejected:
                    found.append((file, rejected.reason))
        return found


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    """Pauses the garbage collector: for a large label file, its passes over all cells would take half of the time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_collector_paused()
def read_dataset(
    images: Path,
    labels: Path | None = None,
    format: str = "auto",
    classes: Path | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """Reads the labels. The images need not exist, unless their folders are the labels.

    Whatever is guessed is in the notes of the result.

    Args:
        images: the image folder.
        labels: label file, or folder of annotation files; None if the image folder defines the labels.
        format: a key of `READERS`, or ``auto``.
        classes: a file that names label ids and gives the order of labels, see :mod:`class_names`. Without it, labels
            are sorted: numerically if all are integers, else alphabetically.
        reading: the other settings of the search file.

    Raises:
        ConfigError: the labels cannot be read, a label is not among `classes`, or there are fewer than two labels.
    """
    if labels is not None:
        _check_there(labels)
    if format not in ("auto", *READERS):
        raise ConfigError(f"unknown format {format!r}{did_you_mean(format, ['auto', *READERS])}", key="format")
    if labels is None and format not in ("auto", *FROM_IMAGES):
        raise ConfigError(f"format {format} needs a label file, got none; add data.labels", key="labels")
    reading = reading or Reading()
    notes: list[str] = []
    listed = None if classes is None else read_class_names(classes, reading.encoding, notes)
    source = Source(images, labels, listed.known if listed else frozenset(), reading)
    if format == "auto":
        format = detect_format(source)
    rows = READERS[format](source)
    place, key = source.place, "labels" if labels else "images"
    if not rows.files:
        fault = (
            "holds no rows; give one row per image"
            if labels
            else "holds no image in the folder of a label; give each label a folder with its images"
        )
        raise ConfigError(f"{place}: {fault}", key=key)
    notes += rows.notes
    ids, names = named_labels(rows, listed, classes or labels, notes)
    matches, match_notes = match_names(rows.files, source.files, source.base, place)
    notes += match_notes
    joined = join_rows(rows.files, ids, matches, source.reading.rows)
    del matches, source  # frees memory for the label matrix
    notes += joined.notes
    rejected = (*rows.rejected, *joined.rejected)
    if not joined.labels:
        first = f"{rejected[0][0]}: {rejected[0][1]}" if rejected else "none"
        raise ConfigError(f"{place}: no row can be used (first: {first}); {joined.advice}", key="labels")
    order = (
        sorted_labels({label for one in set(joined.labels) for label in one}) if names is None else [*names.values()]
    )
    if len(order) < 2:
        fix = "for one label against the rest, give the other images a label, too (such as none)"
        if any(reason == CONTRADICTING for _, reason in joined.rejected):
            fix = f"images whose rows have different labels are left out; {joined.advice}"
        elif rows.classes and format == "csv":
            fix += f"; with data.columns.labels: {order[0]}, 0 and 1 are two labels"
        elif format == "folders" and order:
            fix += f"; if the folders in {order[0]} are the labels, let data.images end with it"
        raise ConfigError(f"{place}: needs two labels or more, got {', '.join(order) or 'none'}; {fix}", key=key)
    if format not in ("csv", "imagefolder"):  # these have checked their cells
        note_variants(order, notes)
    check_order(order, len(joined.labels), place)
    if not any(joined.labels):
        raise ConfigError(
            f"{place}: no image has any of the labels {first_names(order)}; add labels to the images, or name the "
            "columns of labels by data.columns.labels",
            key=key,
        )
    kept = joined.rows
    return Dataset(
        root=images,
        files=joined.files,
        labels=label_matrix(joined.labels, order),
        classes=tuple(order),
        ids=tuple(names or order),
        columns=rows.columns.reindex(kept).reset_index(drop=True),
        rejected=rejected,
        notes=tuple(notes),
        ignored=rows.ignored,
        parts=None if rows.parts is None else np.array(rows.parts, np.int8)[kept],
        by_folder=format == "folders",
    )


def _check_there(labels: Path) -> None:
    try:
        labels.stat()
    except FileNotFoundError:
        message = f"{labels} does not exist; give a label file or a folder of annotations"
        raise ConfigError(message, key="labels") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{labels}: cannot be read ({error}); check the path", key="labels") from None
