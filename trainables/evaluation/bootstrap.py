"""Bootstrap confidence intervals of every metric, resampled over the images."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from thaw.spaces import METRICS, measured
from thaw.trainables.evaluation.label_set_metrics import f1, in_top_k, included
from thaw.trainables.evaluation.trivial import EPSILON

CHUNK = 4_000_000
"""Number of resampled images held in memory at once."""


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; all three are NaN if the metric has no value (``map`` without a positive)."""

    value: float
    low: float
    high: float


def bootstrap(
    probabilities: np.ndarray,
    label_sets: np.ndarray,
    targets: np.ndarray,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    names: Collection[str] = measured(single_label=False, labels=2),
    images: np.ndarray | None = None,
) -> dict[str, Estimate]:
    """Metrics of :mod:`thaw.spaces.metrics`, each with a basic bootstrap interval.

    The images are resampled with replacement `resamples` times. With v the value on the original images, and [a, b]
    the central `confidence` interval of the values on the resamples, the result is [2v - b, 2v - a], clipped to the
    metric's range. It covers the variation with other images of the same kind. It does not cover the effect of another
    training run, or of a choice among many models.
    Source: Davison and Hinkley, "Bootstrap methods and their application", 1997, section 5.2.

    The more common percentile interval [a, b] is not used: a resample repeats images, which makes the average precision
    of a rare label too high. In simulations with 400 images and 18 labels of 1 % to 70 %, nominal 95 % percentile
    intervals of ``map`` contained the true value 54 % of the time, these 89 %; for the other metrics both are similar.

    The formulas are those of :func:`~.metrics.epoch_metrics`, except that predicted sets replace the threshold, and
    that ``loss`` is the binary cross-entropy of the probabilities in nats, averaged over images and labels, as for the
    trivial predictors, whatever loss the model was trained with.

    Args:
        probabilities: (N, L) in [0, 1], N >= 1.
        label_sets: bool (N, L), the predicted sets.
        targets: bool (N, L).
        resamples: >= 2.
        confidence: in (0, 1).
        seed: equal seeds give equal intervals.
        names: the metrics, see :func:`thaw.spaces.measured`; ``map`` takes most of the time.
        images: (N,), the image of each row, if images occur several times (repeated cross-validation); all rows of an
            image are drawn together. None: each row is a separate image.

    Returns:
        Metric name → estimate.
    """
    measure = _Measure(probabilities, label_sets, targets, names)
    rows = np.arange(len(targets)) if images is None else np.unique(images, return_inverse=True)[1]
    count = int(rows.max()) + 1
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[np.ndarray]] = {}
    step = max(1, CHUNK // len(rows))
    for start in range(0, resamples, step):
        counts = rng.multinomial(count, np.full(count, 1 / count), size=min(step, resamples - start))
        for name, values in measure(counts[:, rows].astype(np.float64)).items():
            drawn.setdefault(name, []).append(values)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    estimates = {}
    for name, value in measure(np.ones((1, len(rows)))).items():
        values = np.concatenate(drawn[name])
        # A resample may miss every positive; if the data themselves have none, there is no value at all.
        low, high = np.nanquantile(values, tails) if np.isfinite(value[0]) else (np.nan, np.nan)
        low, high = np.clip(2 * value[0] - np.array([high, low]), METRICS[name].low, METRICS[name].high)
        estimates[name] = Estimate(float(value[0]), float(low), float(high))
    return estimates


class _Measure:
    """All metrics as functions of the weight of each image: (R, N) → name → (R,)."""

    def __init__(
        self, probabilities: np.ndarray, label_sets: np.ndarray, targets: np.ndarray, names: Collection[str]
    ) -> None:
        self.names = names
        self.probabilities = np.asarray(probabilities, np.float64)
        self.predicted, self.truth = np.asarray(label_sets, bool), np.asarray(targets, bool)
        top = self.probabilities == self.probabilities.max(axis=1, keepdims=True)
        clipped = np.clip(self.probabilities, EPSILON, 1 - EPSILON)
        entropy = -np.where(self.truth, np.log(clipped), np.log1p(-clipped))
        self.averages = {
            "loss": entropy.mean(axis=1),
            "exact_match": (self.predicted == self.truth).all(axis=1),
            "hamming_accuracy": (self.predicted == self.truth).mean(axis=1),
            "inclusion_accuracy": included(self.predicted, self.truth),
            "top1_accuracy": (top & self.truth).sum(axis=1) / top.sum(axis=1),
            "accuracy": in_top_k(self.probabilities, self.truth, 1),
            "top5_accuracy": in_top_k(self.probabilities, self.truth, 5),
        }
        self.hits = (self.predicted & self.truth).astype(np.float64)
        # 2 TP + FP + FN of an image and label.
        self.denominators = self.predicted.astype(np.float64) + self.truth

    def __call__(self, counts: np.ndarray) -> dict[str, np.ndarray]:
        images = counts.sum(axis=1)
        values = {name: counts @ per_image / images for name, per_image in self.averages.items()}
        hits, denominators = counts @ self.hits, counts @ self.denominators
        values["f1_macro"] = f1(hits, denominators).mean(axis=1)
        values["f1_micro"] = f1(hits.sum(axis=1), denominators.sum(axis=1))
        if "balanced_accuracy" in self.names:
            values["balanced_accuracy"] = self._balanced_accuracy(counts)
        if "map" in self.names:
            values["map"] = self._mean_average_precision(counts)
        return {name: values[name] for name in self.names}

    def _balanced_accuracy(self, counts: np.ndarray) -> np.ndarray:
        right, images = counts @ (self.averages["accuracy"][:, None] * self.truth), counts @ self.truth
        recall = np.where(images > 0, right / np.maximum(images, 1), 0)
        labels = (images > 0).sum(axis=1)
        return np.where(labels > 0, recall.sum(axis=1) / np.maximum(labels, 1), np.nan)

    def _mean_average_precision(self, counts: np.ndarray) -> np.ndarray:
        total, labels = np.zeros(len(counts)), np.zeros(len(counts))
        for scores, truth in zip(self.probabilities.T, self.truth.T, strict=True):
            order = np.argsort(-scores, kind="stable")
            ranked = counts[:, order]
            # Images of equal probability are taken together: precision is measured after the last of them.
            ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
            seen = np.cumsum(ranked, axis=1)[:, ends]
            found = np.cumsum(ranked * truth[order], axis=1)[:, ends]
            gained = np.diff(found, axis=1, prepend=0)
            area = (found / np.maximum(seen, 1) * gained).sum(axis=1)
            positives = found[:, -1]
            total += np.where(positives > 0, area / np.maximum(positives, 1), 0)
            labels += positives > 0
        return np.where(labels > 0, total / np.maximum(labels, 1), np.nan)
