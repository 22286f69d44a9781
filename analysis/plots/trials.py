"""The trials that plots show, chosen in one place so that all plots of a run agree."""

from __future__ import annotations

import pandas as pd

from thaw.analysis.plots.plot import NotEnough
from thaw.analysis.records import FINISHED
from thaw.analysis.run_data import RunData
from thaw.spaces import ConfigError, metric


def best_first(table: pd.DataFrame, column: str, values: str = "") -> pd.DataFrame:
    """Rows by quality; ties by lower trial number, then by earlier epoch, as everywhere in Thaw.

    Args:
        table: with columns ``trial`` and perhaps ``epoch``.
        column: the metric, which says whether more is better.
        values: the column that holds its values, if it has a different name.
    """
    ties = [name for name in ("trial", "epoch") if name in table]
    ascending = [not metric(column).maximize, *(True for _ in ties)]
    return table.sort_values([values or column, *ties], ascending=ascending, ignore_index=True)


def finished_trials(run: RunData) -> pd.DataFrame:
    """Rows of ``run.trials`` that can be the best (completed, early stopped or pruned), best first.

    Raises:
        NotEnough: there are none.
    """
    table = run.trials
    table = table[table["status"].isin(FINISHED) & table["best_epoch"].notna()]
    if table.empty:
        raise NotEnough("no trial has finished yet")
    return best_first(table, run.metric)


def chosen_trial(run: RunData, trial: int | None) -> int:
    """The requested trial, by default the best one; it has at least one epoch.

    Raises:
        ConfigError: there is no such trial.
        NotEnough: it has no epoch, or none has finished.
    """
    if trial is None:
        return int(finished_trials(run)["trial"].iloc[0])
    if trial not in run.records:
        raise ConfigError(f"this run has trials 0 to {len(run.records) - 1}, got {trial!r}", "trial")
    if not run.records[trial].epochs:
        raise NotEnough(f"trial {trial} has finished no epoch")
    return trial


def active_values(run: RunData, table: pd.DataFrame, name: str) -> pd.Series:
    """A hyperparameter's values, missing in trials where it is inactive (freezing without pretrained weights)."""
    if not run.space.conditions.get(name):
        return table[name]
    active = [run.space.active(name, run.records[number].config) for number in table["trial"]]
    return table[name].where(pd.Series(active, index=table.index))


def thinned(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """At most `limit` rows of a table sorted by quality: a tenth of them from the top, the rest at even steps."""
    if len(table) <= limit:
        return table
    head = limit // 10
    steps = [head + round(step * (len(table) - 1 - head) / (limit - head - 1)) for step in range(limit - head)]
    return table.iloc[[*range(head), *steps]]
