"""Metrics of predicted label sets in NumPy, for thresholds and bootstrap; those of an epoch are in `metrics`."""

from __future__ import annotations

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
