"""The data set that a search file names, and its facts, which are shown before anything starts.

Light: neither torch nor Ray is loaded, and no image is opened; of a folder elsewhere only the names are read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from thaw.search.prepare.notes import group_notes
from thaw.search.settings.data_section import DataConfig
from thaw.search.settings.schema import SearchConfig
from thaw.spaces import ConfigError, printable
from thaw.spaces.paths import expanded
from thaw.spaces.words import counted
from thaw.trainables.data.absence import absence_hint
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.digits import BUILTIN
from thaw.trainables.data.parts import PART_WORDS, VALIDATION
from thaw.trainables.data.provided import read_saved, read_source
from thaw.trainables.data.reading import Reading
from thaw.trainables.data.remote import RemoteFolder, is_remote
from thaw.trainables.data.saved_dataset import is_saved_dataset
from thaw.trainables.data.splits import Split, given_parts, split_dataset

NAMED = 10
"""The number of labels named in one line."""


def cache_directory(config: SearchConfig) -> Path:
    """The node-local folder for data that can be recomputed."""
    return expanded(config.cache.directory).absolute()


def load_dataset(config: SearchConfig) -> Dataset:
    """The data set that the search file names; images need not exist.

    Raises:
        ConfigError: the labels cannot be read.
    """
    data = config.data
    try:
        if data.builtin is not None:
            images, labels = BUILTIN[data.builtin](cache_directory(config) / data.builtin)
            return read_dataset(images, labels)
        if data.source is not None:
            return read_source(data.source)
        assert data.images is not None
        columns, split = data.columns, data.split
        reading = Reading(
            image=columns.image,
            labels=columns.labels if isinstance(columns.labels, tuple) else (columns.labels,),
            separator=data.separator,
            rows=data.rows,
            uncertain=data.uncertain,
            encoding=data.encoding,
            reserved=frozenset(name for name in (split.column, split.group) if name),
        )
        written, classes = (Path(path) if path else None for path in (data.labels, data.classes))
        if is_remote(data.images):
            remote = RemoteFolder(data.images, cache_directory(config) / "copies").listed()
            return replace(read_dataset(remote.root, written, data.format, classes, reading), remote=remote)
        images = Path(data.images)
        if written is None and is_saved_dataset(images):
            return read_saved(images, reading)
        return read_dataset(images, written, data.format, classes, reading)
    except ConfigError as error:
        raise error if error.file else error.within("data") from None


@dataclass(frozen=True)
class DataFacts:
    """What a data set holds, as ``thaw data --json`` prints it.

    Args:
        images: all listed images, including unusable ones.
        labels: label → images that have it, in the order of the classes.
        labels_per_image: number of labels → number of images with that many.
        split: part → images, if the data define the split.
        shares: part → share of the images it is given, if the split is drawn at random.
        rejected: images that cannot be used, as far as can be seen without opening them.
        notes: what was guessed, what was left out, and what looks wrong, one sentence each.
    """

    images: int
    labels: dict[str, int]
    labels_per_image: dict[int, int]
    split: dict[str, int] | None
    shares: dict[str, float] | None
    rejected: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The same in a few lines of text."""
        names = ", ".join(printable(f"{name} {count}") for name, count in list(self.labels.items())[:NAMED])
        more = f", and {len(self.labels) - NAMED} more" if len(self.labels) > NAMED else ""
        counts = ", ".join(f"{images:,} with {number}" for number, images in self.labels_per_image.items())
        rejected = f", {self.rejected:,} of them cannot be used" if self.rejected else ""
        split = ", ".join(f"{count:,} {part}" for part, count in (self.split or {}).items())
        drawn = ", ".join(f"{share:.0%} {part}" for part, share in (self.shares or {}).items())
        return [
            f"{counted(self.images, 'image')}{rejected}; {counted(len(self.labels), 'label')}: {names}{more}",
            f"labels per image: {counts}; split: {split or f'{drawn}, at random, stratified over the labels'}",
            *map(printable, self.notes),
        ]


def data_facts(config: SearchConfig, dataset: Dataset, notes: Sequence[str] = ()) -> DataFacts:
    """The facts of a data set.

    Args:
        notes: additional notes about the pixels.

    Raises:
        ConfigError: the split column is absent or has other values.
    """
    per_image = np.bincount(dataset.labels.sum(axis=1))
    absent = dataset.absent()
    unreadable = dataset.unreadable()
    unusable = {file for file, _ in dataset.rejected} - set(dataset.files)
    said = list(dataset.notes)
    for files, what in ((absent, "absent from"), ([file for file, _ in unreadable], "unreadable in")):
        if files:
            many = counted(len(files), "image is", "images are")
            said.append(f"{many} {what} {dataset.root} (first: {', '.join(files[:3])})")
    unlisted = dataset.unlisted()
    if hint := absence_hint(absent, unlisted):
        said.append(hint)
    if unlisted:
        many = counted(len(unlisted), "more image has no row and is", "more images have no row and are")
        said.append(f"{many} not used (first: {', '.join(unlisted[:3])})")
    try:
        places = given_parts(dataset, config.data.split.column)
        said += group_notes(dataset, config.data.split.group)
    except ConfigError as error:
        raise error.within("data.split") from None
    chosen = config.data.split
    if places is not None and not (places == VALIDATION).any():
        said.append(
            f"the data give no validation images: {chosen.validation:.0%} of the training images are drawn at random "
            "instead (data.split.validation)"
        )
    drawn = dict(zip(PART_WORDS, (1 - chosen.validation - chosen.test, chosen.validation, chosen.test), strict=True))
    return DataFacts(
        images=len(dataset.files) + len(unusable),
        labels=dict(zip(dataset.classes, dataset.labels.sum(axis=0).tolist(), strict=True)),
        labels_per_image={number: int(images) for number, images in enumerate(per_image) if images},
        split=None if places is None else {name: int((places == part).sum()) for part, name in enumerate(PART_WORDS)},
        shares={name: round(share, 6) for name, share in drawn.items()} if places is None else None,
        rejected=len(dataset.rejected) + len(absent) + len(unreadable),
        notes=(*said, *notes),
    )


def split_of(data: DataConfig, dataset: Dataset, usable: np.ndarray, alike: np.ndarray | None = None) -> Split:
    """The split that ``data.split`` specifies.

    Args:
        usable: bool (images,), rows that may be used.
        alike: int (images,), equal numbers for images with equal pixels, which stay together.

    Raises:
        ConfigError: as :func:`~thaw.trainables.data.splits.split_dataset`.
    """
    chosen = data.split
    try:
        return split_dataset(
            dataset,
            usable,
            validation=chosen.validation,
            test=chosen.test,
            seed=chosen.seed,
            column=chosen.column,
            group=chosen.group,
            alike=alike,
        )
    except ConfigError as error:
        raise error.within("data.split") from None
