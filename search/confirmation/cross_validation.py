"""Statistics of configurations evaluated on the same folds: means, intervals, and paired comparisons."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.stats import t

from thaw.spaces import Metric
from thaw.trainables.evaluation.bootstrap import Estimate

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Leader:
    """One of the search's best trials, confirmed.

    Args:
        trial: its number in the search.
        config: its hyperparameters.
        epochs: number of epochs in every fold: its best epoch in the search.
        search_value: the objective in the search.
        values: the objective on each fold, seed by seed.
        pooled: the objective over all out-of-fold predictions at once, with a bootstrap interval over the images; None
            if there are none.
    """

    trial: int
    config: dict[str, Any]
    epochs: int
    search_value: float
    values: list[float]
    pooled: Estimate | None = None

    @property
    def mean(self) -> float:
        return float(np.mean(self.values))


def corrected_interval(values: np.ndarray, folds: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """The corrected resampled t interval for the mean of (repeated) k-fold cross-validation.

    Any two folds train on mostly the same images, so their values vary together and the usual interval is too short.
    With J values of standard deviation s, and k folds::

        mean ± t(J - 1) · s · sqrt(1 / J + 1 / (k - 1))

    1 / (k - 1) is the ratio of validation to training images; the correction assumes that the correlation between two
    values is their share of validation images.
    Source: Nadeau and Bengio, "Inference for the generalization error", Machine Learning 52, 2003; for repeated folds
    Bouckaert and Frank, "Evaluating the replicability of significance tests", PAKDD 2004.

    Args:
        values: (J,), J >= 2.
        folds: k >= 2.
    """
    half = t.ppf((1 + confidence) / 2, len(values) - 1) * np.std(values, ddof=1)
    half *= math.sqrt(1 / len(values) + 1 / (folds - 1))
    return float(np.mean(values) - half), float(np.mean(values) + half)


def confirmation(leaders: list[Leader], metric: Metric, folds: int) -> dict[str, Any]:
    """The part of ``confirm.json`` that follows from the leaders' values.

    Args:
        leaders: one or more, in the order of the search; each with a value for every fold and seed, in the same order.
        metric: the objective's metric.
        folds: k.

    Returns:
        ``leaders`` by confirmed mean, best first; ``chosen``, the first of them; ``shrinkage``, by how much the
        search's best looked better than it is (negative: worse); ``paired``, the chosen one against each other.
    """
    sign = 1.0 if metric.maximize else -1.0
    best = leaders[0]
    ranked = sorted(leaders, key=lambda leader: -sign * leader.mean)
    chosen = ranked[0]
    return {
        "leaders": [
            {
                "trial": leader.trial,
                "config": leader.config,
                "epochs": leader.epochs,
                "search_value": leader.search_value,
                "values": leader.values,
                "mean": leader.mean,
                "std": float(np.std(leader.values, ddof=1)),
                # A t interval does not respect the metric's range.
                "interval": np.clip(
                    corrected_interval(np.array(leader.values), folds), metric.low, metric.high
                ).tolist(),
                "pooled": leader.pooled and asdict(leader.pooled),
            }
            for leader in ranked
        ],
        "chosen": chosen.trial,
        "shrinkage": sign * (best.search_value - best.mean),
        "paired": [_pair(chosen, other, sign, folds) for other in ranked[1:]],
    }


def _pair(a: Leader, b: Leader, sign: float, folds: int) -> dict[str, Any]:
    """`a` minus `b`, fold by fold: the effect of an easy or a hard fold on both cancels out."""
    differences = np.array(a.values) - np.array(b.values)
    return {
        "a": a.trial,
        "b": b.trial,
        "difference": float(differences.mean()),
        "interval": list(corrected_interval(differences, folds)),
        "wins": int((sign * differences > 0).sum()),
    }
