"""The trials as rows of the page's table, which the browser sorts and filters."""

from __future__ import annotations

from typing import Any

import pandas as pd

from thaw.analysis.plots.trials import best_first
from thaw.analysis.report.pictures import plain
from thaw.analysis.run_data import RunData
from thaw.spaces import metric
from thaw.spaces.short_forms import head

OTHERS = {
    False: ("val_loss", "val_f1_macro", "val_top1_accuracy"),
    True: ("val_loss", "val_accuracy", "val_f1_macro"),
}
"""Metrics shown next to the objective, for single-label data (True) and others; the CSV contains all metrics."""


def trial_table(run: RunData) -> pd.DataFrame:
    """One row per trial, best first: trial, status, objective, searched hyperparameters, other metrics, cost, error."""
    others = OTHERS["val_accuracy" in run.trials]
    metrics = [name for name in others if name != run.metric and name in run.trials]
    searched = [name for name in run.space.parameters if run.trials[name].nunique() > 1]
    cost = ["last_epoch", "seconds", "parameters"]
    columns = ["trial", "status", run.metric, "best_epoch", *searched, *metrics, *cost]
    if run.trials["error"].astype(bool).any():
        columns.append("error")
    return best_first(run.trials, run.metric)[columns]


def trial_rows(run: RunData) -> dict[str, Any]:
    """As JSON values: columns (name, short name, whether numeric, which direction sorts better values first, whether a
    phone shows it only on demand) and rows."""
    table = trial_table(run)
    first = {"trial", run.metric, *run.space.parameters}
    numeric = [pd.api.types.is_numeric_dtype(table[name]) for name in table]
    columns = [
        {
            "name": name,
            "short": head(name),
            "numeric": number,
            "descending": name.startswith("val_") and metric(name).maximize,
            "detail": name not in first,
        }
        for name, number in zip(table.columns, numeric, strict=True)
    ]
    rows = table.astype(object).where(table.notna(), None).to_numpy().tolist()
    rows = [[float(f"{cell:.6g}") if isinstance(cell, float) else cell for cell in row] for row in rows]
    best = run.best.number if run.best else None
    return {"columns": columns, "rows": plain(rows), "sorted": run.metric, "best": best}
