"""The run's tables, made from its records: one row a trial, and one row a trial and epoch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pandas as pd

from thaw.analysis.records import TrialRecord
from thaw.spaces import METRICS, TrialConfig, best_epoch
from thaw.spaces.metrics import PREFIXES

COLUMNS = tuple(prefix + name for prefix in PREFIXES for name in METRICS)
"""The metrics' columns, in every table whether or not an epoch was finished."""


def trials_table(records: Iterable[TrialRecord], metric: str) -> pd.DataFrame:
    """One row a trial.

    Columns: trial, status, every hyperparameter, best_epoch and its metrics (``val_map`` …), last_epoch, seconds
    (of training and validation), parameters (trained ones), error.
    """
    rows = []
    for record in records:
        row: dict[str, Any] = {"trial": record.number, "status": record.status, **record.config}
        if record.epochs:
            best = best_epoch(record.values(metric), metric)
            row |= {"best_epoch": best, **record.epochs[best]["metrics"], "last_epoch": max(record.epochs)}
        row |= {"seconds": round(record.seconds, 3), "parameters": record.parameters, "error": record.error}
        rows.append(row)
    columns = ["trial", "status", *TrialConfig.model_fields, "best_epoch", *COLUMNS]
    table = pd.DataFrame(rows, columns=[*columns, "last_epoch", "seconds", "parameters", "error"])
    whole = ["best_epoch", "last_epoch", "parameters"]
    return table.astype({name: "Int64" for name in whole}).sort_values("trial", ignore_index=True)


def history_table(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """One row a trial and epoch: metrics, learning rate, gradient norm, and seconds by phase (``seconds_train`` …)."""
    rows = [
        {
            "trial": record.number,
            "epoch": epoch,
            **row["metrics"],
            "learning_rate": row["learning_rate"],
            "gradient_norm": row["gradient_norm"],
            **{f"seconds_{phase}": value for phase, value in row["seconds"].items()},
        }
        for record in records
        for epoch, row in record.epochs.items()
    ]
    columns = list(rows[0]) if rows else ["trial", "epoch", *COLUMNS, "learning_rate", "gradient_norm"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["trial", "epoch"], ignore_index=True)
