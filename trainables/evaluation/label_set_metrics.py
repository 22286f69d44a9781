"""Parts of metrics that several places need: an epoch's metrics in torch, thresholds and bootstrap in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def f1(hits: np.ndarray, marked: np.ndarray) -> np.ndarray:
    """F1, in the shape of `hits`; 0 where nothing is predicted and nothing true.

    Args:
        hits: true positives, weighted or counted.
        marked: 2 TP + FP + FN, which is the number of predictions and truths together.
    """
    return 2 * hits / np.maximum(marked, 1)


def included(predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Whether each image's predicted set is not empty and within the true one (Yue et al. 2019, eq. 12 and 13).

    Args:
        predicted, targets: bool (N, L).

    Returns:
        bool (N,).
    """
    return predicted.any(axis=1) & ~(predicted & ~targets).any(axis=1)


def among_first(probabilities: Any, truth: Any, k: int) -> Any:
    """Whether each image's only label is among its `k` most probable ones.

    Where several labels are equally probable, it is the chance that a random order among them puts it there, so that
    their own order plays no part. An image with no label or several is never right.

    Args:
        probabilities: (N, L), NumPy or torch.
        truth: bool (N, L), of the same kind.

    Returns:
        (N,) in [0, 1], of the same kind.
    """
    own = (probabilities * truth).sum(axis=1)[:, None]
    before, level = (probabilities > own).sum(axis=1), (probabilities == own).sum(axis=1)
    return ((k - before) / level.clip(1, None)).clip(0, 1) * (truth.sum(axis=1) == 1)
