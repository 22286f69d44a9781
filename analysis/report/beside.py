"""The best trial's metrics next to those of the first configuration and of predictors that never look at an image."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from thaw.analysis.records import TrialRecord
from thaw.analysis.run_data import RunData
from thaw.spaces import METRICS, best_epoch, metric

PLAIN_LOSS = {"loss": "bce", "positive_weight": 1.0, "label_smoothing": 0.0}
"""The settings with which a trial's loss is the plain cross entropy that trivial predictors are scored by."""


@dataclass(frozen=True)
class Beside:
    """The scores of several predictors on the validation images.

    Args:
        table: rows are metrics by name, columns ``trial N`` and the trivial predictors; missing where not comparable.
        best, first: columns of the best trial and of the first trial with an epoch; they may be the same.
        trivial: names of the trivial predictors' columns.
    """

    table: pd.DataFrame
    best: str
    first: str
    trivial: list[str]

    def value(self, name: str, column: str) -> float:
        """The score of the predictor in `column` on metric `name`; NaN if not comparable."""
        return float(self.table[column].to_dict()[name])

    def best_trivial(self, name: str) -> tuple[str, float] | None:
        """The best trivial predictor on metric `name`, and its value; None if none is comparable."""
        scores = {column: self.value(name, column) for column in self.trivial}
        scores = {column: score for column, score in scores.items() if not math.isnan(score)}
        if not scores:
            return None
        return (max if METRICS[name].maximize else min)(scores.items(), key=lambda item: item[1])

    @property
    def not_beaten(self) -> list[str]:
        """Metrics on which the best trial is no better than a trivial predictor."""
        rivals = {name: self.best_trivial(name) for name in self.table.index}
        return [
            name
            for name, rival in rivals.items()
            if rival and not METRICS[name].better(self.value(name, self.best), rival[1])
        ]


def beside(run: RunData) -> Beside | None:
    """None if no trial has finished."""
    if run.best is None:
        return None
    first = next(record for _, record in sorted(run.records.items()) if record.epochs)
    columns = {f"trial {record.number}": metrics_at_best(run, record) for record in (run.best, first)}
    trivial = {name.replace("_", " "): pd.Series(row) for name, row in run.provenance["trivial"].items()}
    names = [name for name in METRICS if f"val_{name}" in run.trials]
    table = pd.DataFrame(columns | trivial).reindex(names)
    if any(run.best.config[key] != value for key, value in PLAIN_LOSS.items()):
        table.loc["loss", list(trivial)] = None
    return Beside(table, f"trial {run.best.number}", f"trial {first.number}", list(trivial))


def metrics_at_best(run: RunData, record: TrialRecord) -> pd.Series:
    """Validation metrics of a trial's best epoch, named without their prefix."""
    metrics = record.epochs[best_epoch(record.values(run.metric), run.metric)]["metrics"]
    return pd.Series({name: metrics.get(f"val_{name}") for name in METRICS}, dtype=float)


def arrow(name: str) -> str:
    """``↑`` where more is better."""
    return "↑" if metric(f"val_{name}").maximize else "↓"
