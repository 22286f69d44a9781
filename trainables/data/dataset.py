"""The data set of a search: which images there are and which labels each one carries."""

from __future__ import annotations

import contextlib
import gc
import hashlib
import posixpath
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.trainables.data.cells import say_variants
from thaw.trainables.data.class_names import WHOLE, ClassNames, read_class_names
from thaw.trainables.data.decoding import Rejected, Square, decode_image
from thaw.trainables.data.formats import FROM_IMAGES, READERS, detect_format
from thaw.trainables.data.grey import Scales
from thaw.trainables.data.label_files import Rows, looks_like_image
from thaw.trainables.data.label_matrix import check_order, label_matrix, sorted_labels
from thaw.trainables.data.names import listing, match_names
from thaw.trainables.data.reading import Reading, Source
from thaw.trainables.data.remote import RemoteFolder
from thaw.trainables.data.rows_by_image import CONTRADICTING, join_rows
from thaw.trainables.data.saved_dataset import SavedDataset
from thaw.trainables.data.source import DataSource, data_source, decode_from

__all__ = ["READERS", "Dataset", "read_dataset"]


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
        ignored: (file, reason) of visible files among the images that are not images.
        parts: int8 (images,), where each image belongs (``parts.TRAIN`` …), where folders say it; else None.
        by_folder: each label is a folder, so one without any usable image is a fault.
        source: gives the images, where they do not come from files; `files` are then their numbers.
        remote: what `root` is the copy of, where images lie elsewhere.
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
        """The files below `root`; none where a source gives the images."""
        return self.files if self.source is None else ()

    def decode(self, row: int, square: Square, scales: Scales | None) -> np.ndarray:
        """An image as uint8 RGB, see :func:`thaw.trainables.data.decoding.decode_image`.

        Raises:
            Rejected: it cannot be used.
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
        """Hex digest of the file names in their order, so that row numbers can be understood later."""
        names = "\0".join(self.files).encode(errors="surrogateescape")
        return hashlib.blake2b(names, digest_size=16).hexdigest()

    def absent(self) -> list[str]:
        """The files that do not exist below `root`; every folder is listed once, no file is opened.

        A folder that must not be listed counts as complete: why its files cannot be read is said when they are.
        """
        folders = {folder: listing(self.root / folder) for folder in set(map(posixpath.dirname, self.on_disk))}
        return [
            file
            for file in self.on_disk
            if (names := folders[posixpath.dirname(file)]) is not None and posixpath.basename(file) not in names
        ]

    def unlisted(self) -> list[str]:
        """The visible images beside those of the label file that it does not name."""
        if self.by_folder:
            return []
        named = {*self.files, *(file for file, _ in self.rejected)}
        found = []
        for folder in sorted(set(map(posixpath.dirname, self.files))):
            names = sorted(name for name in listing(self.root / folder) or () if looks_like_image(name))
            files = [posixpath.join(folder, name) for name in names if not name.startswith(".")]
            found += [file for file in files if file not in named]
        return found

    def unreadable(self) -> list[tuple[str, str]]:
        """(file, reason) of files without the ending of an image that cannot be read as one.

        Only these are opened; they are few. What is called like an image is seen when it is decoded.
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
    """Without it, Python looks for circles among the cells of a large label file again and again: half of the time."""
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
    """Reads the labels; the images need not be there, unless the folders they lie in are the labels.

    What is guessed on the way stands in the notes of the result.

    Args:
        images: the image folder.
        labels: label file, or folder of annotation files; none where the image folder says it all.
        format: a key of `READERS`, or ``auto``.
        classes: a file that names label ids and gives the order of labels, see :mod:`class_names`. Without it, labels
            are sorted: by number where all are whole numbers, else by letter.
        reading: what else the search file says.

    Raises:
        ConfigError: the labels cannot be read, a label is not among `classes`, or there are fewer than two labels.
    """
    if labels is not None:
        _check_there(labels)
    if format not in ("auto", *READERS):
        raise ConfigError(f"unknown format {format!r}{did_you_mean(format, ['auto', *READERS])}", key="format")
    if labels is None and format not in ("auto", *FROM_IMAGES):
        raise ConfigError(f"format {format} needs a label file; add data.labels", key="labels")
    reading = reading or Reading()
    notes: list[str] = []
    listed = None if classes is None else read_class_names(classes, reading.encoding, notes)
    source = Source(images, labels, listed.known if listed else frozenset(), reading)
    if format == "auto":
        format = detect_format(source)
    rows = READERS[format](source)
    place, key = source.place, "labels" if labels else "images"
    if not rows.files:
        holds = "holds no rows" if labels else "holds no image in the folder of a label"
        raise ConfigError(f"{place}; {holds}; give one or more for every image".replace("; ", ": ", 1), key=key)
    notes += rows.notes
    ids, names = _named(rows, listed, classes or labels, notes)
    meant, said = match_names(rows.files, source.files, source.base, place)
    notes += said
    joined = join_rows(rows.files, ids, meant, source.reading.rows)
    del meant, source  # the label matrix needs the room
    notes += joined.notes
    rejected = (*rows.rejected, *joined.rejected)
    if not joined.labels:
        first = f"{rejected[0][0]}: {rejected[0][1]}" if rejected else "none"
        raise ConfigError(f"{place}: no row can be used (first: {first}); {joined.advice}", key="labels")
    order = (
        sorted_labels({label for one in set(joined.labels) for label in one}) if names is None else [*names.values()]
    )
    if len(order) < 2:
        few = "for one label against the rest, label the others too (for instance with none)"
        if any(reason == CONTRADICTING for _, reason in joined.rejected):
            few = f"images whose rows have different labels are left out; {joined.advice}"
        elif rows.classes and format == "csv":
            few += f"; data.columns.labels: {order[0]} takes 0 and 1 for two labels"
        elif format == "folders" and order:
            few += f"; if the folders in {order[0]} are the labels, end data.images with it"
        raise ConfigError(f"{place}: needs two labels or more, got {', '.join(order) or 'none'}; {few}", key=key)
    if format not in ("csv", "imagefolder"):  # their cells are looked at one by one
        say_variants(order, notes)
    check_order(order, len(joined.labels), place)
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


def read_source(name: str) -> Dataset:
    """The data set that was registered as `name`, see :func:`dataset_of`.

    Raises:
        ConfigError: there is none, its parts do not fit together, or it has fewer than two labels.
    """
    try:
        return dataset_of(name, data_source(name))
    except ConfigError as error:
        raise error if error.key else error.within("source") from None


def read_saved(folder: Path, reading: Reading) -> Dataset:
    """The data set that Hugging Face's package ``datasets`` has saved in a folder.

    Raises:
        ConfigError: the package is not installed, it cannot be read, or it has fewer than two labels.
    """
    source = SavedDataset(folder, reading.image, reading.labels)
    return replace(dataset_of(str(folder), source), parts=source.parts)


def dataset_of(name: str, source: DataSource) -> Dataset:
    """The data set of a source; labels are sorted as those of label files.

    Raises:
        ConfigError: its parts do not fit together, or it has fewer than two labels.
    """
    # A text alone is one label.
    labels = [frozenset([one] if isinstance(one, str) else one) for one in source.labels]
    columns = pd.DataFrame(dict(getattr(source, "columns", {})), index=range(len(labels)), dtype=str)
    if not len(source) == len(labels) > 0:
        raise ConfigError(f"{name}: needs labels for each image, got {len(labels)} for {len(source)} images")
    order = sorted_labels({label for one in labels for label in one})
    if len(order) < 2:
        raise ConfigError(f"{name}: needs two labels or more, got {', '.join(order) or 'none'}")
    check_order(order, len(labels), Path(name))
    files = tuple(map(str, range(len(labels))))
    return Dataset(Path(name), files, label_matrix(labels, order), tuple(order), tuple(order), columns, source=source)


def _check_there(labels: Path) -> None:
    try:
        labels.stat()
    except FileNotFoundError:
        message = f"{labels} does not exist; give a label file or a folder of annotations"
        raise ConfigError(message, key="labels") from None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{labels}: cannot be read ({error}); check the path", key="labels") from None


def _named(
    rows: Rows, listed: ClassNames | None, source: Path | None, notes: list[str]
) -> tuple[list[frozenset[str]], dict[str, str] | None]:
    """The labels of each row by their names, and id → name where ids are listed.

    A label file may use the names themselves, too.
    """
    different = set(rows.labels)
    used = {label for one in different for label in one}
    names = listed.ids_for(used, notes) if listed else rows.classes
    if names is None:
        return rows.labels, None
    known = {name: name for name in names.values()} | names
    known = {f"{id}.0": name for id, name in names.items() if re.fullmatch(WHOLE, id)} | known
    unknown = sorted(used - known.keys())
    if unknown:
        message = f"label {unknown[0]!r} is not listed in {source}; add it there, or correct the label file"
        raise ConfigError(message, key="classes")
    translated = {one: frozenset(known[label] for label in one) for one in different}
    return [translated[one] for one in rows.labels], names
