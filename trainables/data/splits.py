"""Which images train, which validate and which are kept back for the test: once, or fold by fold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.trainables.data.dataset import Dataset

TRAIN, VALIDATION, TEST = range(3)

SPLIT_NAMES = {"train": TRAIN, "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "test": TEST}
"""What a split column may say, in upper or lower case."""


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the data set, int64, sorted; no row is in two of them."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def digest(self) -> str:
        """Hex digest of which images train, validate and test."""
        digest = hashlib.blake2b(digest_size=16)
        for rows in (self.train, self.validation, self.test):
            digest.update(np.int64(len(rows)).tobytes() + rows.astype(np.int64).tobytes())
        return digest.hexdigest()


def split_dataset(
    dataset: Dataset,
    usable: np.ndarray,
    *,
    validation: float = 0.2,
    test: float = 0.1,
    seed: int = 0,
    column: str | None = None,
    group: str | None = None,
) -> Split:
    """Splits the usable rows so that each label has about the same share of images everywhere.

    Sizes are met nearly, not exactly: the shares of the labels come first. The same arguments give the same split.

    Args:
        usable: bool (images,), rows that may be used.
        validation, test: shares of the usable rows, 0 < validation, 0 ≤ test, together below 1.
        seed: ≥ 0; another seed, another split.
        column: a column of the label file that says ``train``, ``validation`` or ``test``; decides alone if given.
        group: a column of the label file; rows with equal values (photos of one patient) stay together.

    Raises:
        ConfigError: a share is out of range, a column is missing or says something else, or no row is left to train
            or to validate.
    """
    rows = np.flatnonzero(usable)
    shares = np.array([1 - validation - test, validation, test])
    given = given_split(dataset, usable, column)
    if given is not None:
        if group is not None:
            raise ConfigError(f"column: {column} says where each row belongs, so group: {group} cannot; remove one")
        split = given
    else:
        if not (0 < validation < 1 and 0 <= test < 1 and shares[TRAIN] > 0):
            raise ConfigError(f"needs 0 < validation, 0 <= test, together below 1, got {validation:g} and {test:g}")
        random = np.random.RandomState(seed)
        if group is None:
            places = _stratified(dataset.labels[rows], shares, random)
        else:
            groups = pd.factorize(_column(dataset, group, "group").iloc[rows])[0]
            places = _stratified_groups(dataset.labels[rows], groups, shares, random)
        split = Split(*(rows[places == place] for place in (TRAIN, VALIDATION, TEST)))
    for name, part in (("train", split.train), ("validation", split.validation)):
        if not len(part):
            kind = f"{len(np.unique(groups))} groups of " if group is not None else ""
            raise ConfigError(
                f"the {name} split is empty, of {kind}{len(rows)} usable images in {len(usable)}; "
                "give more images or groups, larger shares, or another split column"
            )
    return split


def given_split(dataset: Dataset, usable: np.ndarray, column: str | None) -> Split | None:
    """The split that the data themselves say; None where they say none.

    Args:
        usable: bool (images,), rows that may be used.
        column: as for :func:`split_dataset`.

    Raises:
        ConfigError: the column is missing or says something else.
    """
    if column is None:
        return None
    rows = np.flatnonzero(usable)
    places = _given(_column(dataset, column, "column").iloc[rows], column)
    return Split(*(rows[places == place] for place in (TRAIN, VALIDATION, TEST)))


def split_folds(
    dataset: Dataset, rows: np.ndarray, test: np.ndarray, *, folds: int, seed: int = 0, group: str | None = None
) -> list[Split]:
    """Deals rows out for cross-validation: each validates once and trains in all other folds.

    As in :func:`split_dataset` each label has about the same share everywhere, and groups stay together.

    Args:
        rows: row numbers to deal out, sorted.
        test: row numbers that stay locked; they become the test part of every fold.
        folds: >= 2.
        seed: >= 0; another seed, other folds.
        group: as for :func:`split_dataset`.

    Raises:
        ConfigError: there are too few rows or groups for so many folds.
    """
    shares, random = np.full(folds, 1 / folds), np.random.RandomState(seed)
    if group is None:
        places, what, there = _stratified(dataset.labels[rows], shares, random), "images", len(rows)
    else:
        groups = pd.factorize(_column(dataset, group, "group").iloc[rows])[0]
        places = _stratified_groups(dataset.labels[rows], groups, shares, random)
        what, there = f"groups of {group}", len(np.unique(groups))
    parts = [Split(rows[places != fold], rows[places == fold], test) for fold in range(folds)]
    if not all(len(part.train) and len(part.validation) for part in parts):
        raise ConfigError(f"{there} {what} do not fill {folds} folds; use fewer", key="folds")
    return parts


def _column(dataset: Dataset, name: str, key: str) -> pd.Series:
    if name not in dataset.columns:
        known = did_you_mean(name, dataset.columns.columns) if len(dataset.columns.columns) else "; it has no others"
        raise ConfigError(f"the label file has no column {name!r} beside files and labels{known}", key=key)
    return dataset.columns[name]


def _given(values: pd.Series, column: str) -> np.ndarray:
    """The user's own split."""
    places = values.str.lower().map(SPLIT_NAMES)
    wrong = sorted(set(values[places.isna()]))
    if wrong:
        raise ConfigError(
            f"column {column!r} must say train, validation or test, got {', '.join(map(repr, wrong[:5]))}", key="column"
        )
    return places.to_numpy(np.int64)


def _common(labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The labels that can be shared out at all: of rarer ones the validation part is due less than half an image.

    Each image of those would go where most is wanted, the training part; with many such labels nothing would be left
    to validate.
    """
    return labels.sum(axis=0) * shares[VALIDATION] >= 0.5


def _stratified(labels: np.ndarray, shares: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Iterative stratification (Sechidis et al. 2011): the rarest label is dealt out first, image by image.

    The three parts are made at once; the splitters of the package around this function make two, and refuse labels
    that are all equal. It deals in the order of the rows, so they are shuffled first.
    """
    # A second of scikit-learn, which workers need not wait for: only the driver splits.
    from iterstrat.ml_stratifiers import IterativeStratification

    labels = labels[:, _common(labels, shares)]
    order = random.permutation(len(labels))
    places = np.empty(len(labels), np.int64)
    # A part with share 0 must not even be tied with a spent one, so it is left out.
    parts = np.flatnonzero(shares)
    places[order] = parts[IterativeStratification(labels[order], shares[parts], random)]
    return places


def _stratified_groups(
    labels: np.ndarray, groups: np.ndarray, shares: np.ndarray, random: np.random.RandomState
) -> np.ndarray:
    """Deals out whole groups, the largest first, each to the part whose distance from its share then shrinks most.

    The distance is the squared difference between a part's share of the images with a label and the share it should
    have, summed over the labels and "any image"; scikit-learn's StratifiedGroupKFold proceeds in the same way, for one
    label an image and equal parts.

    Args:
        groups: int (rows,), the number of each row's group from 0.
    """
    counted = np.column_stack([labels, np.ones(len(labels), bool)])
    content = np.zeros((groups.max(initial=-1) + 1, counted.shape[1]))
    np.add.at(content, groups, counted)
    content = content[:, np.append(_common(content[:, :-1] > 0, shares), True)]
    content /= np.maximum(content.sum(axis=0), 1)
    order = random.permutation(len(content))
    order = order[np.argsort(-content[order, -1], kind="stable")]
    parts = np.flatnonzero(shares)
    missing = np.repeat(shares[parts, None], content.shape[1], axis=1)
    place_of = np.empty(len(content), np.int64)
    for group in order:
        growth = ((missing - content[group]) ** 2 - missing**2).sum(axis=1)
        part = growth.argmin()
        missing[part] -= content[group]
        place_of[group] = parts[part]
    return place_of[groups]
