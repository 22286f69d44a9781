"""What all trials of a run share: the images and the training conditions. Sent to each worker once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from thaw.spaces import ConfigError
from thaw.spaces.words import counted
from thaw.trainables.data.augment import Augment
from thaw.trainables.data.decoding import Square
from thaw.trainables.data.grey import White
from thaw.trainables.data.image_store import ImageStore, open_store
from thaw.trainables.data.remote import RemoteFolder
from thaw.trainables.data.source import DataSource
from thaw.trainables.data.splits import Split
from thaw.trainables.exchange import Exchange
from thaw.trainables.messages import Fold
from thaw.trainables.networks.architecture import Architecture
from thaw.trainables.seeding import derive_seed


@dataclass(frozen=True)
class ImageSource:
    """Where the images are, and how they become square arrays of one size.

    Args:
        root, files: image folder, and file names relative to it; row i of every array belongs to ``files[i]``.
        square: how images become squares.
        directory: node-local folder of decoded images.
        timeout: seconds allowed for reading one file.
        white: white of grey images with more than 8 bits, see :mod:`thaw.trainables.data.grey`.
        source: provides the images if they do not come from files.
        remote: the folder that `root` is the copy of, if the images lie elsewhere.
    """

    root: Path
    files: tuple[str, ...]
    square: Square
    directory: Path
    timeout: float
    white: White = None
    source: DataSource | None = None
    remote: RemoteFolder | None = None

    @property
    def size(self) -> int:
        """Side of the squares in pixels."""
        return self.square.size

    def copy(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Copy images that lie elsewhere to this node, if no process has done so before."""
        if self.remote is not None:
            self.remote.fetch(self.files, progress)

    def open(self, progress: Callable[[int, int], None] | None = None) -> ImageStore:
        """The decoded images on this node; decoded now unless a process has done so before."""
        self.copy()
        return open_store(
            self.root,
            self.files,
            self.square,
            source=self.source,
            white=self.white,
            directory=self.directory,
            timeout=self.timeout,
            progress=progress,
        )


@dataclass(frozen=True)
class CacheOptions:
    """Where activations are stored on each node, and how many.

    Args:
        activations: ``auto`` (where it pays off, in the precision of the run), ``fp16`` (half the space), or ``off``.
        directory: node-local folder.
        budget: bytes that the stored activations of all runs may take together.
        shared: whether the nodes of a cluster compute each row once between them.
        exchange: the other nodes, within a session that shares rows with them.
    """

    activations: str
    directory: Path
    budget: int
    shared: bool = False
    exchange: Exchange | None = None


class CheckpointFolder(Protocol):
    """Paths of a trial's checkpoints."""

    def last_file(self, trial: int) -> Path: ...
    def best_file(self, trial: int) -> Path: ...


@dataclass(frozen=True)
class RunContext:
    """The data and the conditions under which every configuration is trained.

    Args:
        images: the image files.
        labels: bool (images, labels).
        split: rows for training, validation and test.
        augment: random augmentation of training images.
        views: epoch e (from 0) uses view ``e mod views``; None for a fresh view every epoch.
        weights: as in the search file.
        seed: the search's seed.
        precision: fp32, tf32 or bf16: one for all architectures, or one for each by name.
        threshold: a label counts as predicted from this probability on.
        cache: whether and where the output of the frozen part is stored.
        metric: the objective's column, such as ``val_map``.
        single_label: whether every training image has exactly one label, so that accuracies are measured.
        deterministic: whether results are bit-reproducible on a GPU, too.
        checkpoints: where trials leave theirs, on a file system that all nodes share; None to write none.
        folds: of a confirmation, seed by seed.
        fold: that of the current trial; None in a search.
        costs: objectives other than the metric.
        latency: architecture → seconds for one image, where that is an objective.
        networks: the user's own among those of the search.
    """

    images: ImageSource
    labels: np.ndarray
    split: Split
    augment: Augment
    views: int | None
    weights: str | Mapping[str, str]
    seed: int
    precision: str | Mapping[str, str]
    threshold: float
    cache: CacheOptions
    metric: str
    single_label: bool = False
    deterministic: bool = False
    checkpoints: CheckpointFolder | None = None
    folds: tuple[tuple[Split, ...], ...] = ()
    fold: Fold | None = None
    costs: tuple[str, ...] = ()
    latency: Mapping[str, float] = field(default_factory=dict)
    networks: tuple[Architecture, ...] = ()

    def on(self, fold: Fold | None) -> RunContext:
        """The context of a trial on one of the `folds`; None for a trial of a search."""
        return self if fold is None else replace(self, split=self.folds[fold.seed][fold.number], fold=fold)

    @property
    def training_seed(self) -> int:
        """Seed of initialisation, image order and dropout; the first repetition uses the same seed as a search."""
        repetition = self.fold.seed if self.fold else 0
        return derive_seed(self.seed, "repetition", repetition) if repetition else self.seed

    def open_images(self) -> ImageStore:
        """The decoded images on this node, checked to include every training and validation image.

        Raises:
            ConfigError: an image that the driver could read cannot be read here; zeros would be trained on instead.
        """
        store = self.images.open()
        rows = np.concatenate([self.split.train, self.split.validation])
        absent = rows[~store.usable[rows]]
        if len(absent):
            reasons = dict(store.rejected)
            file = self.images.files[absent[0]]
            first = f"first: {file}: {reasons[file]}"
            raise ConfigError(
                f"{counted(len(absent), 'image')} of the split cannot be read on this node ({first})", "data.images"
            )
        return store

    def precision_of(self, architecture: str) -> str:
        """Precision of an architecture, a key of :data:`thaw.trainables.device.ARITHMETIC`."""
        return self.precision if isinstance(self.precision, str) else self.precision[architecture]
