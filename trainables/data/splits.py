"""Which images train, which validate and which are kept back for the test: once, or fold by fold."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.trainables.data.cells import MISSING
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.parts import TEST, TRAIN, VALIDATION, part_of, parts_of


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
    alike: np.ndarray | None = None,
) -> Split:
    """Splits the usable rows so that each label has about the same share of images everywhere.

    Where the data say which images belong where (:func:`given_places`), they decide; if they keep no images for
    validation, these are dealt out of the training images. Sizes are met nearly, not exactly: the shares of the labels
    come first. The same arguments give the same split.

    Args:
        usable: bool (images,), rows that may be used.
        validation, test: shares of the usable rows, 0 < validation, 0 ≤ test, together below 1.
        seed: ≥ 0; another seed, another split.
        column: a column of the label file that says ``train``, ``validation`` or ``test``.
        group: a column of the label file; rows with equal values (photos of one patient) stay together. A row without
            a value is a group of its own.
        alike: int (images,), equal numbers for images with equal pixels; these stay together, too.

    Raises:
        ConfigError: a share is out of range, a column is missing or says something else, a group lies in two parts
            that the data give, or no row is left to train or to validate.
    """
    rows = np.flatnonzero(usable)
    shares = np.array([1 - validation - test, validation, test])
    dealer = _Dealer(dataset, group, alike, np.random.RandomState(seed))
    given = given_places(dataset, column)
    places = np.full(len(rows), TRAIN) if given is None else given[rows].astype(np.int64)
    if given is not None:
        dealer.check_apart(rows, places)
        # What trains gives up some images if none validate; the test images are as given.
        shares = np.array([1 - validation, validation, 0])
    if given is None or not (places == VALIDATION).any():
        if not (0 < validation < 1 and 0 <= test < 1 and shares[TRAIN] > 0):
            raise ConfigError(f"needs 0 < validation, 0 <= test, together below 1, got {validation:g} and {test:g}")
        dealt = places == TRAIN
        places[dealt] = dealer.deal(rows[dealt], shares)
    split = Split(*(rows[places == place] for place in (TRAIN, VALIDATION, TEST)))
    for name, part in (("train", split.train), ("validation", split.validation)):
        if not len(part):
            kind = f"{dealer.groups(rows).max(initial=-1) + 1} groups of " if group is not None else ""
            raise ConfigError(
                f"the {name} split is empty, of {kind}{len(rows)} usable images in {len(usable)}; "
                "give more images or groups, larger shares, or another split column"
            )
    return split


def given_places(dataset: Dataset, column: str | None) -> np.ndarray | None:
    """int (images,), the part of each image where the data say it, in a column or by folders; else None.

    Raises:
        ConfigError: the column is missing or says something else.
    """
    if column is None:
        return dataset.parts
    cells = _column(dataset, column, "column")
    different = set(cells)
    places = parts_of(column, different)
    if places is None:
        wrong = sorted(cell for cell in different if part_of(cell) is None)
        raise ConfigError(
            f"column {column!r} must say train, validation or test, or true and false under a heading such as "
            f"is_valid, got {', '.join(map(repr, wrong[:5]))}",
            key="column",
        )
    return cells.map(places).to_numpy(np.int8)


def keeps_apart(dataset: Dataset, column: str | None) -> bool:
    """Whether the data themselves say which images train and which validate."""
    places = given_places(dataset, column)
    return places is not None and bool((places == TRAIN).any() and (places == VALIDATION).any())


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
    """Deals images out for cross-validation; each label has about the same share everywhere, groups stay together.

    Training and validation images are dealt out together, so that each image validates once and trains in all other
    folds. Where the data themselves keep the two apart and no group says what belongs together, they are not mixed:
    each fold trains on all but a share of the training images and validates on a share of the validation images.

    Args:
        split: its training and validation images are dealt out, its test images stay locked in every fold.
        folds: >= 2.
        seed: >= 0; another seed, other folds.
        column, group, alike: as for :func:`split_dataset`.

    Raises:
        ConfigError: there are too few rows or groups for so many folds.
    """
    shares = np.full(folds, 1 / folds)
    dealer = _Dealer(dataset, group, alike, np.random.RandomState(seed))
    if group is None and keeps_apart(dataset, column):
        train, validation = (dealer.deal(rows, shares) for rows in (split.train, split.validation))
        parts = [
            Split(split.train[train != fold], split.validation[validation == fold], split.test) for fold in range(folds)
        ]
        what, there = "validation images", len(split.validation)
    else:
        rows = np.sort(np.concatenate([split.train, split.validation]))
        places = dealer.deal(rows, shares)
        parts = [Split(rows[places != fold], rows[places == fold], split.test) for fold in range(folds)]
        what, there = "images", len(rows)
        if group is not None:
            what, there = f"groups of {group}", int(dealer.groups(rows).max(initial=-1)) + 1
    if not all(len(part.train) and len(part.validation) for part in parts):
        raise ConfigError(f"{there} {what} do not fill {folds} folds; use fewer", key="folds")
    return parts


def equal_images(digests: np.ndarray, usable: np.ndarray) -> np.ndarray | None:
    """int (images,), equal numbers for images with equal digests; None where no two usable images are equal.

    Args:
        digests: uint8 (images, bytes), of their pixels.
        usable: bool (images,).
    """
    keys = np.ascontiguousarray(digests).view(f"V{digests.shape[1]}").ravel()
    numbers = np.arange(len(digests))
    _, first, inverse = np.unique(keys[usable], return_index=True, return_inverse=True)
    if len(first) == usable.sum():
        return None
    numbers[usable] = np.flatnonzero(usable)[first][inverse]
    return numbers


def blank_groups(dataset: Dataset, group: str | None) -> int:
    """Images that are a group of their own because the column of groups says nothing."""
    return 0 if group is None else int(_column(dataset, group, "group").isin(MISSING).sum())


@dataclass(frozen=True, eq=False)
class _Dealer:
    """Deals rows of a data set out to parts, keeping together what belongs together."""

    dataset: Dataset
    group: str | None
    alike: np.ndarray | None
    random: np.random.RandomState

    def deal(self, rows: np.ndarray, shares: np.ndarray) -> np.ndarray:
        """The part of each of the rows, as numbers of `shares`."""
        labels = self.dataset.labels[rows]
        if self.group is not None:
            return _stratified_groups(labels, self.groups(rows), shares, self.random)
        if self.alike is None:
            return _stratified(labels, shares, self.random)
        # One image stands for all that are equal to it.
        _, first, inverse = np.unique(self.alike[rows], return_index=True, return_inverse=True)
        return _stratified(labels[first], shares, self.random)[inverse]

    def groups(self, rows: np.ndarray) -> np.ndarray:
        """int (rows,), the number of each row's group from 0."""
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

    def check_apart(self, rows: np.ndarray, places: np.ndarray) -> None:
        """A group lies in one of the given parts.

        Raises:
            ConfigError: naming a group that does not.
        """
        if self.group is None:
            return
        values = _column(self.dataset, self.group, "group").iloc[rows]
        named = ~values.isin(MISSING).to_numpy()
        parts = pd.Series(places[named]).groupby(values[named].to_numpy()).nunique()
        torn = parts.index[parts > 1]
        if len(torn):
            raise ConfigError(
                f"group {torn[0]!r} of {self.group} (and {len(torn) - 1} more) lies in several parts of the given "
                "split, though its images belong together; correct the column, or remove data.split.group",
                key="group",
            )


def _column(dataset: Dataset, name: str, key: str) -> pd.Series:
    if name not in dataset.columns:
        known = did_you_mean(name, dataset.columns.columns) if len(dataset.columns.columns) else "; it has no others"
        raise ConfigError(f"the label file has no column {name!r} beside files and labels{known}", key=key)
    return dataset.columns[name]


def _common(labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The labels that can be shared out at all: of rarer ones the validation part is due less than half an image.

    Each image of those would go to the part that lacks most, training; with many such labels nothing would be left
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
