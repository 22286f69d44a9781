"""Likely label errors, from out-of-fold predictions.

Confident learning (Northcutt, Jiang & Chuang 2021, "Confident learning: estimating uncertainty in dataset labels",
JAIR 70): a label is in doubt if another one is predicted with at least the probability that images of that other label
get on average. If images have several labels, each label is judged separately (Thyagarajan et al. 2022,
arXiv:2211.13895).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Doubt:
    """A label that an image probably has wrongly, or lacks.

    Args:
        row: row of the image in the predictions.
        label: column of the label.
        present: True if the image has the label, probably wrongly; False if it probably lacks it.
        probability: predicted probability of the label.
    """

    row: int
    label: int
    present: bool
    probability: float


def label_doubts(probabilities: np.ndarray, labels: np.ndarray, exclusive: bool) -> list[Doubt]:
    """Likely label errors, the clearest first, at most one per image.

    Args:
        probabilities: float (N, L), predicted out of fold.
        labels: bool (N, L), as given.
        exclusive: whether every image has exactly one label, so that the probabilities sum to 1.
    """
    given, missing = labels.astype(bool), ~labels.astype(bool)
    with np.errstate(invalid="ignore"):
        typical = np.where(given, probabilities, 0).sum(0) / given.sum(0)
        typical_absence = np.where(missing, 1 - probabilities, 0).sum(0) / missing.sum(0)
    lacking = missing & (probabilities >= np.nan_to_num(typical, nan=np.inf))
    if exclusive:
        # The other label must be the most probable of those that reach their average probability.
        reached = np.where(probabilities >= np.nan_to_num(typical, nan=np.inf), probabilities, -1.0)
        lacking &= reached == reached.max(axis=1, keepdims=True)
        wrong = np.zeros_like(lacking)
        own = np.where(given, probabilities, 0).sum(axis=1, keepdims=True)
        margins = probabilities - own
    else:
        lacking &= probabilities > 0.5
        wrong = given & (1 - probabilities >= np.nan_to_num(typical_absence, nan=np.inf)) & (probabilities < 0.5)
        margins = np.abs(2 * probabilities - 1)
    doubtful = lacking | wrong
    margins = np.where(doubtful, margins, -np.inf)
    column = margins.argmax(axis=1)
    best = margins[np.arange(len(margins)), column]
    rows = [row for row in np.argsort(-best, kind="stable") if np.isfinite(best[row]) and best[row] > 0]
    return [
        Doubt(int(row), int(column[row]), bool(given[row, column[row]]), float(probabilities[row, column[row]]))
        for row in rows
    ]
