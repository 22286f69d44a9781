"""The data set that a search file names, and the facts of it that are told before anything starts.

Light: neither torch nor Ray is loaded, and no image is opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from thaw.search.settings.schema import SearchConfig
from thaw.spaces import ConfigError, printable
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.digits import BUILTIN
from thaw.trainables.data.splits import Split, given_split

NAMED = 10
"""Labels that are named in one line."""


def cache_directory(config: SearchConfig) -> Path:
    """The node-local folder for what can be computed again."""
    return Path(config.cache.directory).expanduser().absolute()


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
        assert data.images is not None
        classes = Path(data.classes) if data.classes else None
        return read_dataset(Path(data.images), Path(data.labels) if data.labels else None, data.format, classes)
    except ConfigError as error:
        raise error if error.file else error.within("data") from None


@dataclass(frozen=True)
class DataFacts:
    """What a data set holds, as ``thaw data --json`` prints it.

    Args:
        images: all that are named, unusable ones too.
        labels: label → images that have it, in the order of the classes.
        labels_per_image: number of labels → images with so many.
        split: part → images, where the data say which image belongs where.
        rejected: images that cannot be used, as far as this is seen without opening them.
        notes: what was guessed, what was left out, and what looks wrong, a sentence each.
    """

    images: int
    labels: dict[str, int]
    labels_per_image: dict[int, int]
    split: dict[str, int] | None
    rejected: int
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def lines(self) -> list[str]:
        """The same in a few lines of text."""
        names = ", ".join(printable(f"{name} {count}") for name, count in list(self.labels.items())[:NAMED])
        more = f", and {len(self.labels) - NAMED} more" if len(self.labels) > NAMED else ""
        counts = ", ".join(f"{images} with {number}" for number, images in self.labels_per_image.items())
        rejected = f", {self.rejected} of them cannot be used" if self.rejected else ""
        split = ", ".join(f"{count} {part}" for part, count in (self.split or {}).items())
        return [
            f"{self.images} images{rejected}; {len(self.labels)} labels: {names}{more}",
            f"labels an image: {counts}; split: {split or 'at random, stratified over the labels'}",
            *map(printable, self.notes),
        ]


def data_facts(config: SearchConfig, dataset: Dataset, notes: Sequence[str] = ()) -> DataFacts:
    """The facts of a data set.

    Args:
        notes: more of them, about the pixels.

    Raises:
        ConfigError: the split column is absent or says something else.
    """
    per_image = np.bincount(dataset.labels.sum(axis=1))
    absent = dataset.absent()
    unusable = {file for file, _ in dataset.rejected} - set(dataset.files)
    said = list(dataset.notes)
    if absent:
        said.append(f"{len(absent)} images are absent from {dataset.root} (first: {', '.join(absent[:3])})")
    try:
        split = given_split(dataset, np.ones(len(dataset.files), bool), config.data.split.column)
    except ConfigError as error:
        raise error.within("data.split") from None
    return DataFacts(
        images=len(dataset.files) + len(unusable),
        labels=dict(zip(dataset.classes, dataset.labels.sum(axis=0).tolist(), strict=True)),
        labels_per_image={number: int(images) for number, images in enumerate(per_image) if images},
        split=None if split is None else {part.name: len(getattr(split, part.name)) for part in fields(Split)},
        rejected=len(dataset.rejected) + len(absent),
        notes=(*said, *notes),
    )
