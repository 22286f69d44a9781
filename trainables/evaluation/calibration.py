"""Probabilities that mean what they say: Platt scaling, label by label."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

Activation = Literal["sigmoid", "softmax"]
"""How a network's logits become probabilities: each label for itself, or one distribution over all labels."""

PRIOR = 10.0
"""Strength of the pull towards identity, in images with the label; see :func:`fit_calibration`."""

MIN_SLOPE = 0.05
"""Calibration never turns the order of the images round, nor flattens it."""


def log_odds(logits: np.ndarray, activation: Activation) -> np.ndarray:
    """``log(p / (1 - p))`` of the probabilities that the network predicts.

    Under a sigmoid these are the logits; under a softmax each logit less the log-sum-exp of the others. Calibration
    works on them, so that it is the same thing for every loss.

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
    """Slope a and intercept b of each label such that ``sigmoid(a · log-odds + b)`` is its share of positives.

    The most probable a and b under a normal prior around identity (a = 1, b = 0), of variance ``1 / prior`` each::

        minimise  Σ_images cross-entropy(a · x + b)  +  prior / 2 · ((a - 1)² + b²),     a >= MIN_SLOPE

    A label with n positives, where positives are rare, tells about n units of information on b. So b keeps roughly the
    share ``n / (n + prior)`` of what the data alone would say: a rare label keeps what the network predicts, since two
    numbers fitted to a handful of positives would be noise.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999. His own guard against few positives,
    smoothed targets, pulls towards 1/2, which for rare labels is the wrong place.

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
