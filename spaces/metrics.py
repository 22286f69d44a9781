"""Metrics: name, direction, range and meaning.

Columns and options have a prefix: ``val_map`` is measured on the validation split after the epoch, ``train_map`` over
the training batches during the epoch. The formulas are in :mod:`thaw.trainables.evaluation.metrics`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from thaw.spaces.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Metric:
    """One row of the table.

    Args:
        maximize: whether larger is better.
        low, high: the range of possible values.
        meaning: one line for tables and help.
        single_label: whether it is measured only if every training image has exactly one label.
        labels: smallest number of labels for which it is measured.
    """

    maximize: bool
    low: float
    high: float
    meaning: str
    single_label: bool = False
    labels: int = 1

    @property
    def direction(self) -> Literal["maximize", "minimize"]:
        return "maximize" if self.maximize else "minimize"

    def better(self, a: float, b: float) -> bool:
        """Whether `a` is strictly better than `b`; any number is better than NaN."""
        if math.isnan(a) or math.isnan(b):
            return math.isnan(b) and not math.isnan(a)
        return a > b if self.maximize else a < b


METRICS: dict[str, Metric] = {
    "loss": Metric(False, 0.0, math.inf, "the training loss, averaged over images"),
    "map": Metric(True, 0.0, 1.0, "mean over labels of average precision (labels without a positive left out)"),
    "f1_micro": Metric(True, 0.0, 1.0, "F1 over all image-label pairs at the threshold"),
    "f1_macro": Metric(True, 0.0, 1.0, "mean over labels of F1 at the threshold"),
    "exact_match": Metric(True, 0.0, 1.0, "share of images whose predicted label set is exactly the true one"),
    "hamming_accuracy": Metric(True, 0.0, 1.0, "share of image-label pairs predicted correctly"),
    "inclusion_accuracy": Metric(
        True,
        0.0,
        1.0,
        "share of images whose predicted set is not empty and within the true one (Yue et al. 2019, eq. 13)",
    ),
    "top1_accuracy": Metric(True, 0.0, 1.0, "share of images whose most probable label is a true one"),
    "accuracy": Metric(
        True, 0.0, 1.0, "share of images whose most probable label is their only one", single_label=True
    ),
    "balanced_accuracy": Metric(
        True,
        0.0,
        1.0,
        "mean over labels of the accuracy on the images of the label (labels without an image left out)",
        single_label=True,
    ),
    "top5_accuracy": Metric(
        True,
        0.0,
        1.0,
        "share of images whose only label is among the five most probable (from 10 labels on)",
        single_label=True,
        labels=10,
    ),
}

PREFIXES = ("val_", "train_")


def measured(single_label: bool, labels: int) -> tuple[str, ...]:
    """The metrics that apply to a data set, in the order of the table.

    Args:
        single_label: whether every training image has exactly one label.
        labels: number of labels.

    Example:
        >>> [name for name in measured(True, 3) if METRICS[name].single_label]
        ['accuracy', 'balanced_accuracy']
    """
    return tuple(
        name for name, row in METRICS.items() if labels >= row.labels and (single_label or not row.single_label)
    )


def metric(column: str) -> Metric:
    """The metric behind a column such as ``val_map``.

    Raises:
        ConfigError: the column is not a ``val_`` or ``train_`` metric.
    """
    for prefix in PREFIXES:
        if column.startswith(prefix) and column.removeprefix(prefix) in METRICS:
            return METRICS[column.removeprefix(prefix)]
    known = [prefix + name for prefix in PREFIXES for name in METRICS]
    raise ConfigError(f"unknown metric {column!r}{did_you_mean(column, known)}")


def best_epoch(values: Mapping[int, float], column: str) -> int:
    """The epoch with the best value, the earliest one in a tie.

    This is what "best" means everywhere in Thaw: a trial's objective is the value of its best epoch.

    Args:
        values: epoch → value of `column`, at least one.
    """
    measure = metric(column)
    best = min(values)
    for epoch in sorted(values):
        if measure.better(values[epoch], values[best]):
            best = epoch
    return best
