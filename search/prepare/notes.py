"""Notes on the split of a data set, before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from thaw.analysis.words import listed
from thaw.spaces.words import counted
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.splits import Split, blank_groups, given_parts

NAMED = 5
"""The number of labels named in one note."""


def split_notes(dataset: Dataset, split: Split, column: str | None, group: str | None) -> list[str]:
    """Notes that follow from the labels and columns: labels that cannot be learned or judged, groups without a value.

    Args:
        column, group: as for :func:`thaw.trainables.data.splits.split_dataset`.
    """
    notes = group_notes(dataset, group)
    places = given_parts(dataset, column)
    if places is not None and not np.isin(split.validation, np.flatnonzero(places == 1)).all():
        notes.append(f"no images are given for validation, so {len(split.validation)} training images are used for it")
    train, validation = (dataset.labels[rows].any(axis=0) for rows in (split.train, split.validation))
    bare, unjudged = ~train, train & ~validation
    notes += _labels(dataset.classes, bare & validation, "only validation images have")
    notes += _labels(dataset.classes, bare & ~validation, "no training image has")
    return notes + _labels(dataset.classes, unjudged, "no validation image has")


def group_notes(dataset: Dataset, group: str | None) -> list[str]:
    """A note if the group column has missing values."""
    count = blank_groups(dataset, group)
    return (
        [f"{counted(count, 'image has', 'images have')} no value in {group!r}; each is a separate group"]
        if count
        else []
    )


def equal_notes(alike: np.ndarray | None, split: Split) -> list[str]:
    """Notes on images with equal pixels.

    Args:
        alike: as :func:`thaw.trainables.data.splits.equal_images` gives it.
    """
    if alike is None:
        return []
    every = np.concatenate([split.train, split.validation, split.test])
    count = len(every) - len(np.unique(alike[every]))
    torn = sum(np.isin(alike[rows], alike[split.train]).sum() for rows in (split.validation, split.test))
    note = f"{counted(count, 'image has', 'images have')} the same pixels as another"
    if torn:
        of_training = counted(torn, "validation or test image equals", "validation or test images equal")
        return [f"{note}; {of_training} training images"]
    return [f"{note} and {'stays' if count == 1 else 'stay'} with it in one part"] if count else []


def _labels(classes: Sequence[str], chosen: np.ndarray, what: str) -> list[str]:
    names = [name for name, one in zip(classes, chosen, strict=True) if one]
    if not names:
        return []
    more = [f"{len(names) - NAMED} more"] if len(names) > NAMED else []
    return [f"{what} {'the label' if len(names) == 1 else 'any of the labels'} {listed([*names[:NAMED], *more])}"]
