"""Trivial predictors, which ignore the images. A model that is no better than they are has learned nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F

from thaw.trainables.evaluation.metrics import epoch_metrics

EPSILON = 1e-7
"""The loss clips probabilities this far from 0 and 1, so that it is finite, as Keras does."""


def _nothing(frequencies: np.ndarray) -> np.ndarray:
    return np.zeros_like(frequencies)


def _most_frequent_label(frequencies: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(frequencies)) == frequencies.argmax(), 1.0, 0.0)


def _label_frequencies(frequencies: np.ndarray) -> np.ndarray:
    return frequencies


TRIVIAL: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "nothing": _nothing,
    "most_frequent_label": _most_frequent_label,
    "label_frequencies": _label_frequencies,
}
"""Each label's share of the training images (L,) → the probabilities (L,) predicted for every image."""


def trivial_metrics(
    train_labels: np.ndarray, validation_labels: np.ndarray, threshold: float = 0.5, single_label: bool = False
) -> dict[str, dict[str, float]]:
    """Metrics of each trivial predictor, fitted on the training labels, on the validation split.

    Args:
        train_labels: bool (images, labels), at least one image.
        validation_labels: bool (images, labels), at least one image.
        threshold: a label counts as predicted from this probability on.
        single_label: as for :func:`~.metrics.epoch_metrics`.

    Returns:
        Predictor → metric → value: those of :func:`~.metrics.epoch_metrics`, and ``loss``, the binary cross
        entropy in nats, averaged over images and labels.
    """
    frequencies = train_labels.mean(axis=0, dtype=np.float64)
    targets = torch.from_numpy(np.ascontiguousarray(validation_labels)).double()
    table = {}
    for name, predict in TRIVIAL.items():
        probabilities = torch.from_numpy(predict(frequencies)).expand_as(targets)
        loss = F.binary_cross_entropy(probabilities.clamp(EPSILON, 1 - EPSILON), targets)
        table[name] = {"loss": loss.item(), **epoch_metrics(probabilities, targets, threshold, single_label)}
    return table
