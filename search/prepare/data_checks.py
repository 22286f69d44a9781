"""Checks that a data set suits a search: its labels, its usable images, and its split."""

from __future__ import annotations

import numpy as np

from thaw.search.prepare.data_set import split_of
from thaw.search.settings.data_section import DataConfig
from thaw.search.settings.schema import SearchConfig
from thaw.spaces import ConfigError, measured, metric
from thaw.spaces.words import counted
from thaw.trainables.data.absence import absence_hint
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.data.splits import Split

MIN_TRAINING = 2
"""Fewest training images: batch norm has no variance of a single one."""


def check_labels(config: SearchConfig, dataset: Dataset) -> None:
    """Check that every image has exactly one label if the search uses softmax."""
    if "softmax" in config.search_space.options("loss") and not dataset.single_label:
        counts = dataset.labels.sum(axis=1)
        others = int((counts != 1).sum())
        raise ConfigError(
            f"softmax needs exactly one label per image, {others} of {counted(len(counts), 'image')} "
            f"{'has' if others == 1 else 'have'} none or several; use "
            "bce",
            "space.loss" if "loss" in config.space else "training.loss",
        )


def check_metric(config: SearchConfig, single_label: bool, labels: int) -> None:
    """Check that the objective is measured on such data.

    Args:
        config: the search file.
        single_label: whether every training image has exactly one label.
        labels: number of labels.
    """
    names = measured(single_label, labels)
    if config.search.metric.removeprefix("val_") not in names:
        row = metric(config.search.metric)
        need = f"{row.labels} labels or more" if single_label else "exactly one label on every training image"
        known = ", ".join(f"val_{name}" for name in names)
        raise ConfigError(
            f"{config.search.metric} needs {need}, which these data do not have; choose one of {known}", "search.metric"
        )


def check_absent(data: DataConfig, dataset: Dataset) -> None:
    """Check that not too many images are absent, before any is decoded."""
    absent = dataset.absent()
    if len(absent) > data.max_rejected * len(dataset.files):
        hint = absence_hint(absent, dataset.unlisted())
        first = ", ".join(absent[:3])
        raise ConfigError(
            f"the label file names {counted(len(absent), 'image')} that {dataset.root} does not hold (of "
            f"{len(dataset.files)}; "
            f"first: {first}); {hint or 'correct data.images'}, or raise data.max_rejected to continue without them",
            "data.images",
        )


def check_rejected(data: DataConfig, images: int, rejected: list[tuple[str, str]]) -> None:
    """Check that not too many images are unusable.

    Args:
        data: the section ``data`` of the search file.
        images: number of all images.
        rejected: (file, reason) of the unusable ones.
    """
    if len(rejected) > data.max_rejected * images:
        first = "; ".join(f"{file}: {reason}" for file, reason in rejected[:3])
        raise ConfigError(
            f"at most {data.max_rejected:.0%} of the images may be unusable, {len(rejected)} of {images} are "
            f"({first}); repair or remove them, or raise this limit",
            "data.max_rejected",
        )


def check_folders(dataset: Dataset, store: ImageStore) -> None:
    """Check that each label has a usable image if folders are the labels."""
    unused = ~dataset.labels[store.usable].any(axis=0)
    if dataset.by_folder and unused.any():
        label = dataset.classes[int(unused.argmax())]
        reasons = dict(store.rejected)
        reason = next(reasons[dataset.files[i]] for i in np.flatnonzero(dataset.labels[:, unused.argmax()]))
        raise ConfigError(
            f"no image in the folder of {label!r} can be used ({reason}); repair its images, or remove the folder",
            "data.images",
        )


def checked_split(data: DataConfig, dataset: Dataset, usable: np.ndarray, alike: np.ndarray | None) -> Split:
    """The split that ``data.split`` specifies, with enough training images and labels in both parts.

    Args:
        data: the section ``data`` of the search file.
        dataset: the data set.
        usable: bool (images,), rows that may be used.
        alike: int (images,), equal numbers for images that stay together.
    """
    split = split_of(data, dataset, usable, alike)
    if len(split.train) < MIN_TRAINING:
        raise ConfigError(
            f"training needs {MIN_TRAINING} images or more, got {len(split.train)}; add images", "data.split"
        )
    for name, rows in (("training", split.train), ("validation", split.validation)):
        if not dataset.labels[rows].any():
            raise ConfigError(f"no {name} image has a label; label more images or change the shares", "data.split")
    return split
