"""Labels that are likely wrong, by predictions of networks that had not seen the image.

Confident learning (Northcutt, Jiang & Chuang 2021, "Confident learning: estimating uncertainty in dataset labels",
JAIR 70): a label is in doubt where another one is predicted with at least the probability that images of that other
label get on average. With several labels an image each label is judged by itself (Thyagarajan et al. 2022,
arXiv:2211.13895).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Doubt:
    """A label that an image is likely to have wrongly, or to lack.

    Args:
        row: of the image in what was judged.
        label: its column.
        present: whether the image has the label, wrongly; else it lacks it.
        probability: of the label, by the predictions.
    """

    row: int
    label: int
    present: bool
    probability: float


def label_doubts(probabilities: np.ndarray, labels: np.ndarray, exclusive: bool) -> list[Doubt]:
    """Likely label errors, the clearest first; of each image only the clearest.

    Args:
        probabilities: float (N, L), out of fold.
        labels: bool (N, L), as given.
        exclusive: whether every image has exactly one label, and the probabilities sum to 1.
    """
    given, missing = labels.astype(bool), ~labels.astype(bool)
    with np.errstate(invalid="ignore"):
        typical = np.where(given, probabilities, 0).sum(0) / given.sum(0)
        typical_absence = np.where(missing, 1 - probabilities, 0).sum(0) / missing.sum(0)
    lacking = missing & (probabilities >= np.nan_to_num(typical, nan=np.inf))
    if exclusive:
        # The other label has to be the most probable of those that reach their usual probability.
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
