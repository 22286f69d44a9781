"""Stratification: assigns rows, or groups of rows, to parts so that each label has about the same fraction in each."""

from __future__ import annotations

import numpy as np

from thaw.trainables.data.parts import VALIDATION


def _common(labels: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """bool (labels,), the labels that are common enough to stratify: at least half a validation image is expected.

    All images of rarer labels would go to the training part, and with many such labels no validation images would be
    left.
    """
    return labels.sum(axis=0) * shares[VALIDATION] >= 0.5


def stratified(labels: np.ndarray, shares: np.ndarray, random: np.random.RandomState) -> np.ndarray:
    """Iterative stratification (Sechidis et al. 2011): images are assigned label by label, the rarest label first.

    All parts are made at once; the splitters of the same package make two, and refuse labels that are all equal. The
    result depends on the order of the rows, so they are shuffled first.

    Args:
        labels: bool (rows, labels).
        shares: fraction of the rows in each part.
        random: generator for the order.

    Returns:
        int64 (rows,), the part of each row.
    """
    # Imports scikit-learn, which takes a second. Only the driver splits, so workers need not wait for it.
    from iterstrat.ml_stratifiers import IterativeStratification

    labels = labels[:, _common(labels, shares)]
    order = random.permutation(len(labels))
    assigned = np.empty(len(labels), np.int64)
    # Parts with share 0 are left out: they could tie with a full part, and get images.
    parts = np.flatnonzero(shares)
    assigned[order] = parts[IterativeStratification(labels[order], shares[parts], random)]
    return assigned


def stratified_groups(
    labels: np.ndarray, groups: np.ndarray, shares: np.ndarray, random: np.random.RandomState
) -> np.ndarray:
    """Assigns whole groups, the largest first, each to the part whose distance from its target then decreases most.

    The distance is the squared difference between a part's fraction of the images with a label and its share, summed
    over all labels and over "any image". scikit-learn's StratifiedGroupKFold works in the same way, for one label per
    image and equal parts.

    Args:
        labels, shares, random: as for :func:`stratified`.
        groups: int (rows,), the number of each row's group, from 0.

    Returns:
        int64 (rows,), the part of each row.
    """
    columns = np.column_stack([labels, np.ones(len(labels), bool)])
    content = np.zeros((groups.max(initial=-1) + 1, columns.shape[1]))
    np.add.at(content, groups, columns)
    content = content[:, np.append(_common(content[:, :-1] > 0, shares), True)]
    content /= np.maximum(content.sum(axis=0), 1)
    order = random.permutation(len(content))
    order = order[np.argsort(-content[order, -1], kind="stable")]
    parts = np.flatnonzero(shares)
    missing = np.repeat(shares[parts, None], content.shape[1], axis=1)
    part_of_group = np.empty(len(content), np.int64)
    for group in order:
        growth = ((missing - content[group]) ** 2 - missing**2).sum(axis=1)
        part = growth.argmin()
        missing[part] -= content[group]
        part_of_group[group] = parts[part]
    return part_of_group[groups]
