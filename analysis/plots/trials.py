"""The trials that plots speak of, chosen in one place so that all pictures of a run agree."""

from __future__ import annotations

import pandas as pd

from thaw.analysis.plots.plot import NotEnough
from thaw.analysis.records import FINISHED
from thaw.analysis.run_data import RunData
from thaw.spaces import ConfigError, metric


def best_first(table: pd.DataFrame, column: str, values: str = "") -> pd.DataFrame:
    """Rows by quality; of equals first the lower trial number, then the earlier epoch, as everywhere in Thaw.

    Args:
        table: with columns ``trial`` and perhaps ``epoch``.
        column: the metric, which says whether more is better.
        values: the column that holds its values, if it is called otherwise.
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
    """A trial asked for, by default the best one; it has at least one epoch.

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


def where_it_counts(run: RunData, table: pd.DataFrame, name: str) -> pd.Series:
    """A hyperparameter's values, missing in trials where it does not count (freezing without pretrained weights)."""
    if not run.space.conditions.get(name):
        return table[name]
    counts = [run.space.active(name, run.records[number].config) for number in table["trial"]]
    return table[name].where(pd.Series(counts, index=table.index))


def frozen_depths(run: RunData, table: pd.DataFrame) -> pd.Series:
    """The freeze depth of each trial; 0, as everything is trained, where it does not count."""
    return table["freeze_depth"].astype(int)


def thinned(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """At most `limit` rows of a table that is in order of quality: the first tenth of them, the rest at even steps."""
    if len(table) <= limit:
        return table
    head = limit // 10
    steps = [head + round(step * (len(table) - 1 - head) / (limit - head - 1)) for step in range(limit - head)]
    return table.iloc[[*range(head), *steps]]
