"""Parts of metrics that several modules share: an epoch's metrics in torch, thresholds and bootstrap in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np


def f1(hits: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """F1, in the shape of `hits`; 0 where nothing is predicted and nothing is true.

    Args:
        hits: true positives, weighted or counted.
        denominator: 2 TP + FP + FN, which is the number of predicted labels plus that of true labels.
    """
    return 2 * hits / np.maximum(denominator, 1)


def included(predicted: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Whether each image's predicted set is a non-empty subset of the true one (Yue et al. 2019, eq. 12 and 13).

    Args:
        predicted, targets: bool (N, L).

    Returns:
        bool (N,).
    """
    return predicted.any(axis=1) & ~(predicted & ~targets).any(axis=1)


def in_top_k(probabilities: Any, truth: Any, k: int) -> Any:
    """Whether each image's only label is among its `k` most probable ones.

    If several labels are equally probable, the result is the probability that a random order among them puts it there,
    so that the order of the labels does not matter. An image with no label or several is never right.

    Args:
        probabilities: (N, L), NumPy or torch.
        truth: bool (N, L), of the same kind.

    Returns:
        (N,) in [0, 1], of the same kind.
    """
    own = (probabilities * truth).sum(axis=1)[:, None]
    before, level = (probabilities > own).sum(axis=1), (probabilities == own).sum(axis=1)
    return ((k - before) / level.clip(1, None)).clip(0, 1) * (truth.sum(axis=1) == 1)
