"""Calibration of probabilities: Platt scaling of each label."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

Activation = Literal["sigmoid", "softmax"]
"""How logits become probabilities: each label independently, or one distribution over all labels."""

PRIOR = 10.0
"""Strength of the prior around identity, in images with the label; see :func:`fit_calibration`."""

MIN_SLOPE = 0.05
"""Smallest slope, so that calibration neither reverses nor flattens the order of the images."""


def log_odds(logits: np.ndarray, activation: Activation) -> np.ndarray:
    """``log(p / (1 - p))`` of the probabilities that the network predicts.

    For a sigmoid these are the logits; for a softmax each logit minus the log-sum-exp of the others. Calibration works
    on log-odds, so that it is the same for every loss.

    Args:
        logits: (N, L).

    Returns:
        float64 (N, L).
    """
    logits = np.asarray(logits, np.float64)
    if activation == "sigmoid":
        return logits
    others = np.repeat(logits[:, None, :], logits.shape[1], axis=1)
    others[:, np.eye(logits.shape[1], dtype=bool)] = -np.inf
    return logits - logsumexp(others, axis=2)


def fit_calibration(odds: np.ndarray, targets: np.ndarray, prior: float = PRIOR) -> np.ndarray:
    """Slope a and intercept b of each label such that ``sigmoid(a · log-odds + b)`` is its fraction of positives.

    They are the maximum a posteriori estimate under a normal prior around identity (a = 1, b = 0), with variance
    ``1 / prior`` each::

        minimise  Σ_images cross-entropy(a · x + b)  +  prior / 2 · ((a - 1)² + b²),     a >= MIN_SLOPE

    If positives are rare, n of them carry about n units of information on b. So b is roughly the fraction
    ``n / (n + prior)`` of its estimate from the data alone: a rare label keeps the network's predictions, since two
    numbers fitted to a handful of positives would be noise.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999. His own remedy for few positives, smoothed
    targets, pulls towards 1/2, which is wrong for rare labels.

    Args:
        odds: (N, L), from :func:`log_odds`.
        targets: bool (N, L).
        prior: >= 0; 0 fits the data alone.

    Returns:
        (L, 2): slope and intercept.
    """

    def objective(point: np.ndarray, x: np.ndarray, truth: np.ndarray) -> tuple[float, np.ndarray]:
        slope, intercept = point
        z = slope * x + intercept
        residual = expit(z) - truth
        value = (np.logaddexp(0, z) - truth * z).sum() + prior / 2 * ((slope - 1) ** 2 + intercept**2)
        return value, np.array([residual @ x + prior * (slope - 1), residual.sum() + prior * intercept])

    fitted = [
        minimize(
            objective, (1.0, 0.0), (x, truth), jac=True, method="L-BFGS-B", bounds=[(MIN_SLOPE, None), (None, None)]
        ).x
        for x, truth in zip(odds.T, np.asarray(targets, np.float64).T, strict=True)
    ]
    return np.array(fitted)


def calibrated(odds: np.ndarray, calibration: np.ndarray) -> np.ndarray:
    """Probabilities (N, L) from log-odds (N, L) and the slopes and intercepts (L, 2)."""
    return expit(odds * calibration[:, 0] + calibration[:, 1])
