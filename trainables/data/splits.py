"""Splits a data set into training, validation and test images, once or into folds."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.spaces.words import counted
from thaw.trainables.data.cells import MISSING
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.parts import TEST, TRAIN, VALIDATION, part_of, parts_of
from thaw.trainables.data.stratification import stratified, stratified_groups


@dataclass(frozen=True, eq=False)
class Split:
    """Row numbers of the data set, int64, sorted; the three parts are disjoint."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    @property
    def digest(self) -> str:
        """Hex digest of the rows in each part."""
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
    alike: np.ndarray | None = None,
) -> Split:
    """Splits the usable rows so that each label has about the same fraction of images in each part.

    If the data define a split (:func:`given_parts`), it is used; if it has no validation images, they are drawn from
    the training images. Sizes are approximate, as the distribution of labels has priority. Equal arguments give equal
    splits.

    Args:
        usable: bool (images,), rows that may be used.
        validation, test: fractions of the usable rows, 0 < validation, 0 ≤ test, together below 1.
        seed: ≥ 0; another seed gives another split.
        column: a column of the label file with ``train``, ``validation`` or ``test``.
        group: a column of the label file; rows with equal values (photos of one patient) stay together. A row without
            a value is a separate group.
        alike: int (images,), equal numbers for images with equal pixels, which stay together, too.

    Raises:
        ConfigError: a fraction is out of range, a column is missing or has other values, a group is in several parts
            of the given split, or there are no training or no validation images.
    """
    rows = np.flatnonzero(usable)
    shares = np.array([1 - validation - test, validation, test])
    splitter = _Splitter(dataset, group, alike, np.random.RandomState(seed))
    given = given_parts(dataset, column)
    parts = np.full(len(rows), TRAIN) if given is None else given[rows].astype(np.int64)
    if given is not None:
        splitter.check_groups(rows, parts)
        # If there are no validation images, they are taken from the training images; the test images are as given.
        shares = np.array([1 - validation, validation, 0])
    if given is None or not (parts == VALIDATION).any():
        if not (0 < validation < 1 and 0 <= test < 1 and shares[TRAIN] > 0):
            raise ConfigError(
                f"must be 0 < validation, 0 <= test, together below 1, got {validation:g} and {test:g}; change them"
            )
        drawn = parts == TRAIN
        parts[drawn] = splitter.assign(rows[drawn], shares)
    split = Split(*(rows[parts == part] for part in (TRAIN, VALIDATION, TEST)))
    for name, members in (("train", split.train), ("validation", split.validation)):
        if not len(members):
            kind = ""
            if group is not None:
                kind = f"{counted(int(splitter.groups(rows).max(initial=-1)) + 1, 'group')} of "
            images = f"{kind}{counted(len(rows), 'usable image')} of {len(usable)}"
            raise ConfigError(
                f"the {name} split is empty: it comes from {images}; "
                "give more images or groups, larger fractions, or another split column"
            )
    return split


def given_parts(dataset: Dataset, column: str | None) -> np.ndarray | None:
    """int (images,), the part of each image if the data define a split by a column or by folders; else None.

    Raises:
        ConfigError: the column is missing or has other values.
    """
    if column is None:
        return dataset.parts
    cells = _column(dataset, column, "column")
    values = set(cells)
    parts = parts_of(column, values)
    if parts is None:
        wrong = sorted(cell for cell in values if part_of(cell) is None)
        raise ConfigError(
            f"column {column!r} must hold train, validation or test, or true and false under a heading such as "
            f"is_valid, got {', '.join(map(repr, wrong[:5]))}; correct its cells, or name another column",
            key="column",
        )
    return cells.map(parts).to_numpy(np.int8)


def keeps_apart(dataset: Dataset, column: str | None) -> bool:
    """Whether the data define both training and validation images."""
    parts = given_parts(dataset, column)
    return parts is not None and bool((parts == TRAIN).any() and (parts == VALIDATION).any())


def split_folds(
    dataset: Dataset,
    split: Split,
    *,
    folds: int,
    seed: int = 0,
    column: str | None = None,
    group: str | None = None,
    alike: np.ndarray | None = None,
) -> list[Split]:
    """Folds for cross-validation. Each label has about the same fraction in every fold, and groups stay together.

    Training and validation images are pooled, so each image validates once and trains in all other folds. If the data
    define both parts and no groups are given, they are not mixed: each fold omits a fraction of the training images and
    validates on a fraction of the validation images.

    Args:
        split: its training and validation images make up the folds; its test images are the same in every fold.
        folds: number of folds, >= 2.
        seed: >= 0; another seed gives other folds.
        column, group, alike: as for :func:`split_dataset`.

    Raises:
        ConfigError: there are fewer images or groups than folds.
    """
    shares = np.full(folds, 1 / folds)
    splitter = _Splitter(dataset, group, alike, np.random.RandomState(seed))
    if group is None and keeps_apart(dataset, column):
        train, validation = (splitter.assign(rows, shares) for rows in (split.train, split.validation))
        splits = [
            Split(split.train[train != fold], split.validation[validation == fold], split.test) for fold in range(folds)
        ]
        kind, count = "validation images", len(split.validation)
    else:
        rows = np.sort(np.concatenate([split.train, split.validation]))
        fold_of = splitter.assign(rows, shares)
        splits = [Split(rows[fold_of != fold], rows[fold_of == fold], split.test) for fold in range(folds)]
        kind, count = "images", len(rows)
        if group is not None:
            kind, count = f"groups of {group}", int(splitter.groups(rows).max(initial=-1)) + 1
    if not all(len(one.train) and len(one.validation) for one in splits):
        raise ConfigError(f"{count} {kind} are too few for {folds} folds; use fewer folds", key="folds")
    return splits


def equal_images(digests: np.ndarray, usable: np.ndarray) -> np.ndarray | None:
    """int (images,), equal numbers for images with equal digests; None if no two usable images are equal.

    Args:
        digests: uint8 (images, bytes), digests of the pixels.
        usable: bool (images,), images that may be used.
    """
    keys = np.ascontiguousarray(digests).view(f"V{digests.shape[1]}").ravel()
    numbers = np.arange(len(digests))
    _, first, inverse = np.unique(keys[usable], return_index=True, return_inverse=True)
    if len(first) == usable.sum():
        return None
    numbers[usable] = np.flatnonzero(usable)[first][inverse]
    return numbers


def blank_groups(dataset: Dataset, group: str | None) -> int:
    """Number of images without a value in the group column; each is a separate group."""
    return 0 if group is None else int(_column(dataset, group, "group").isin(MISSING).sum())


@dataclass(frozen=True, eq=False)
class _Splitter:
    """Assigns rows of a data set to parts, and keeps groups and equal images together."""

    dataset: Dataset
    group: str | None
    alike: np.ndarray | None
    random: np.random.RandomState

    def assign(self, rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """int64 (rows,), the part of each row.

        Args:
            rows: row numbers of the data set.
            shares: fraction of the rows in each part.
        """
        labels = self.dataset.labels[rows]
        if self.group is not None:
            return stratified_groups(labels, self.groups(rows), shares, self.random)
        if self.alike is None:
            return stratified(labels, shares, self.random)
        # One image represents all that are equal to it.
        _, first, inverse = np.unique(self.alike[rows], return_index=True, return_inverse=True)
        return stratified(labels[first], shares, self.random)[inverse]

    def groups(self, rows: np.ndarray) -> np.ndarray:
        """int (rows,), the number of each row's group, from 0. Groups that share an equal image are joined."""
        assert self.group is not None
        values = _column(self.dataset, self.group, "group").iloc[rows].astype(object)
        blank = values.isin(MISSING)
        values[blank] = [(row,) for row in rows[blank.to_numpy()]]
        numbers = pd.factorize(values)[0]
        if self.alike is None:
            return numbers
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        alike = pd.factorize(self.alike[rows])[0]
        size, ones = int(numbers.max(initial=-1)) + 1, np.ones(len(rows), bool)
        joined = coo_matrix((ones, (numbers, size + alike)), shape=(2 * size + len(rows),) * 2)
        return pd.factorize(connected_components(joined, directed=False)[1][numbers])[0]

    def check_groups(self, rows: np.ndarray, parts: np.ndarray) -> None:
        """Checks that each group is in one part of the given split.

        Raises:
            ConfigError: a group is in several parts.
        """
        if self.group is None:
            return
        values = _column(self.dataset, self.group, "group").iloc[rows]
        named = ~values.isin(MISSING).to_numpy()
        counts = pd.Series(parts[named]).groupby(values[named].to_numpy()).nunique()
        divided = counts.index[counts > 1]
        if len(divided):
            raise ConfigError(
                f"a group must be in one part of the given split, but {divided[0]!r} of {self.group} (and "
                f"{len(divided) - 1} more) is in several; correct the split, or remove data.split.group",
                key="group",
            )


def _column(dataset: Dataset, name: str, key: str) -> pd.Series:
    if name not in dataset.columns:
        hint = did_you_mean(name, dataset.columns.columns) if len(dataset.columns.columns) else "; it has no others"
        raise ConfigError(f"the label file has no column {name!r} besides file names and labels{hint}", key=key)
    return dataset.columns[name]
