"""The run's tables, built from its records: one row per trial, and one row per trial and epoch."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from typing import Any

import pandas as pd

from thaw.analysis.cost import cost_table
from thaw.analysis.records import TrialRecord
from thaw.spaces import METRICS, TrialConfig, best_epoch, metric
from thaw.spaces.metrics import PREFIXES


def metric_columns(records: Iterable[TrialRecord]) -> list[str]:
    """The columns of metrics: those of every search, even before its first epoch, and others if they were measured."""
    found = {column for record in records for row in record.epochs.values() for column in row["metrics"]}
    columns = [prefix + name for prefix in PREFIXES for name in METRICS]
    return [column for column in columns if column in found or not metric(column).single_label]


def trials_table(records: Collection[TrialRecord], objective: str) -> pd.DataFrame:
    """One row per trial.

    Columns: trial, status, every hyperparameter, best_epoch and its metrics (``val_map`` …), last_epoch, seconds
    (here: of training and validation), seconds_alone (by itself: with the activations that trials share),
    parameters (trained ones), error. With several objectives also ``cost_…``, each cost at the best epoch.
    """
    costs = cost_table(records).drop_duplicates("trial", keep="last").set_index("trial").round(3)
    rows = []
    for record in records:
        row: dict[str, Any] = {"trial": record.number, "status": record.status, **record.config}
        if record.epochs:
            best = best_epoch(record.values(objective), objective)
            row |= {"best_epoch": best, **record.epochs[best]["metrics"], "last_epoch": max(record.epochs)}
            row |= {f"cost_{name}": value for name, value in record.epochs[best].get("costs", {}).items()}
        for name in ("seconds", "seconds_alone"):
            row[name] = float(costs[name].get(record.number, 0.0))
        row |= {"parameters": record.parameters, "error": record.error}
        rows.append(row)
    further = dict.fromkeys(name for row in rows for name in row if name.startswith("cost_"))
    columns = ["trial", "status", *TrialConfig.model_fields, "best_epoch", *metric_columns(records), *further]
    table = pd.DataFrame(rows, columns=[*columns, "last_epoch", "seconds", "seconds_alone", "parameters", "error"])
    whole = ["best_epoch", "last_epoch", "parameters"]
    return table.astype({name: "Int64" for name in whole}).sort_values("trial", ignore_index=True)


def history_table(records: Collection[TrialRecord]) -> pd.DataFrame:
    """One row per trial and epoch: metrics, learning rate, gradient norm, seconds by phase (``seconds_train`` …)."""
    # Column by column: one dictionary per row would take several times the memory of the table.
    rows = sorted(((r.number, epoch, row) for r in records for epoch, row in r.epochs.items()), key=lambda row: row[:2])
    table: dict[str, list[Any]] = {"trial": [number for number, _, _ in rows], "epoch": [epoch for _, epoch, _ in rows]}
    for column in metric_columns(records):
        table[column] = [row["metrics"].get(column, math.nan) for _, _, row in rows]
    for column in ("learning_rate", "gradient_norm"):
        table[column] = [row.get(column, math.nan) for _, _, row in rows]
    for phase in rows[0][2]["seconds"] if rows else ():
        table[f"seconds_{phase}"] = [row["seconds"].get(phase, math.nan) for _, _, row in rows]
    return pd.DataFrame(table)
