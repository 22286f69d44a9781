"""Which hyperparameters mattered: how much of the variance between trials each one explains by itself.

Optuna's evaluators look at completed trials alone, and under early stopping these are the ones that were alike enough
to survive: where freeze depth decides everything, it decides who is pruned and then explains nothing among the rest.
So all trials are compared where all of them have been, at the first rung, and within each architecture apart.

The measure is a one-way analysis of variance of each hyperparameter (Kelley's epsilon squared: the share of the
variance that lies between groups of like values, less what chance would put there). On functions whose shares are known
it came nearer than Optuna's fANOVA, whose one-hot columns overstate categories, and than PED-ANOVA, whose few best
trials are noise in a search of this size. Like them it cannot tell hyperparameters apart that a sampler has varied
together.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from thaw.analysis.run_data import RunData
from thaw.spaces import best_epoch, metric

MIN_TRIALS = 12
"""With fewer, a hyperparameter without any effect is easily the first of the list."""

GROUPS = 6
"""Into at most so many groups of equal size a range of values is cut."""

IN_A_GROUP = 5
"""Trials a group should hold."""

COLUMNS = ["architecture", "hyperparameter", "importance", "trials"]


def importance(run: RunData) -> pd.DataFrame:
    """Importance of the searched hyperparameters, over all trials and within each architecture.

    Returns:
        Rows architecture (``all`` first, then by name), hyperparameter, importance (from 0, adds up to 1 in an
        architecture, descending), trials (how many it rests on). No row where fewer than 12 trials have been at the
        first rung, or where nothing explains more than chance would. A hyperparameter that does not count beside
        others, such as momentum without sgd, takes part with its default.
    """
    values = rung_values(run)
    trials = run.trials.set_index("trial").loc[values.index]
    parts = [("all", trials)]
    if trials["architecture"].nunique() > 1:
        parts += [(str(name), part) for name, part in trials.groupby("architecture")]
    names = list(run.space.parameters)
    rows = [row for name, part in parts for row in _shares(name, part, values.loc[part.index], names)]
    return pd.DataFrame(rows, columns=COLUMNS)


def first_rung(run: RunData) -> int | None:
    """The epoch at which trials are first compared and stopped; None where none ever is."""
    scheduler = run.settings["scheduler"]
    return None if scheduler["type"] == "none" else scheduler["grace_period"]


def rung_values(run: RunData) -> pd.Series:
    """Trial → its best value up to the first rung's epoch (of the whole trial where there is no rung).

    Trials that failed or are still on their way there have none. Of a loss it is the logarithm: one trial that went
    astray would be the whole variance otherwise.
    """
    rung = first_rung(run)
    unbounded = math.isinf(metric(run.metric).high)
    values: dict[int, float] = {}
    for number, record in run.records.items():
        arrived = rung is not None and rung in record.epochs
        if not record.epochs or not (arrived or record.status in ("completed", "early_stopped")):
            continue
        series = {epoch: value for epoch, value in record.values(run.metric).items() if rung is None or epoch <= rung}
        value = series[best_epoch(series, run.metric)]
        values[number] = math.log(max(value, 1e-12)) if unbounded else value
    found = pd.Series(values, dtype=float)
    return found[np.isfinite(found)]


def _shares(
    architecture: str, trials: pd.DataFrame, values: pd.Series, names: list[str]
) -> list[tuple[str, str, float, int]]:
    shares = {name: explained(_groups(trials[name]), values) for name in names if trials[name].nunique() > 1}
    total = sum(shares.values())
    if len(trials) < MIN_TRIALS or not total:
        return []
    ranked = sorted(shares, key=lambda name: -shares[name])
    return [(architecture, name, shares[name] / total, len(trials)) for name in ranked]


def _groups(column: pd.Series) -> pd.Series:
    """A number for each value; like values share one where there are too many different ones."""
    most = max(2, min(GROUPS, len(column) // IN_A_GROUP))
    if column.nunique() > most and pd.api.types.is_numeric_dtype(column):
        return pd.qcut(column, most, labels=False, duplicates="drop")
    return pd.Series(pd.factorize(column)[0], column.index)


def explained(groups: pd.Series, values: pd.Series) -> float:
    """Epsilon squared, from 0 to 1: the share of the variance of `values` that lies between `groups`, less chance's.

    With n values in k groups, a sum of squares B between the groups and W within them, it is
    (B - (k - 1) · W / (n - k)) / (B + W), or 0 where that is negative.
    Source: Kelley, "An unbiased correlation ratio measure", PNAS 21 (1935).
    """
    whole = float(((values - values.mean()) ** 2).sum())
    means = values.groupby(groups).transform("mean")
    within = float(((values - means) ** 2).sum())
    free = len(values) - groups.nunique()
    if free <= 0 or whole == 0:
        return 0.0
    return max(0.0, (whole - within - (groups.nunique() - 1) * within / free) / whole)
