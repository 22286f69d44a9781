"""Frozen against fine-tuned backbones by architecture: the comparison of the paper's figures 13 to 18."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.equal_epochs import Standing, named, open_rivals, standings
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.plots.trials import finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import metric_label, number, shortened
from thaw.spaces import STAGES, metric

REGIMES = {
    "frozen": ("s", "frozen: only the head trained"),
    "tuned": ("o", "fine-tuned: the best depth below 5"),
}
"""Column → marker and legend text; hollow markers where the comparison is unknown."""


@dataclass(frozen=True)
class Regimes:
    """One row per architecture, best first: best values frozen and tuned, their trials, tuned_depth, gain, unknown.

    Frozen: all five stages are frozen, only the head is trained. `gain`: how much better fine-tuning is at equal
    epochs, negative if worse. It is missing if stopped trials could reverse the comparison; `unknown` says why.
    """

    metric: str
    rows: pd.DataFrame


def compute(run: RunData) -> Regimes:
    trials = finished_trials(run)
    trials = trials.assign(regime=np.where(trials["freeze_depth"] == STAGES, "frozen", "tuned"))
    places: dict[str, dict[str, Standing]] = {}
    for place in standings(run, trials, ["architecture", "regime"]):
        name, regime = place.key
        places.setdefault(str(name), {})[str(regime)] = place
    both = {name: regimes for name, regimes in places.items() if len(regimes) == 2}
    if not both:
        raise NotEnough("no architecture was tried both frozen (freeze depth 5) and fine-tuned")
    return Regimes(run.metric, pd.DataFrame([_row(run, name, **regimes) for name, regimes in both.items()]))


def _row(run: RunData, name: str, frozen: Standing, tuned: Standing) -> dict[str, Any]:
    measure = metric(run.metric)
    first, second = (tuned, frozen) if measure.better(tuned.best, frozen.best) else (frozen, tuned)
    known = not open_rivals(run, first, [second])
    regimes = {"frozen": frozen, "fine-tuned": tuned}
    reasons = [f"{word} {place.stopped}" for word, place in regimes.items() if place.stopped_by]
    return {
        "architecture": name,
        "frozen": frozen.best,
        "frozen_trial": frozen.trial,
        "tuned": tuned.best,
        "tuned_trial": tuned.trial,
        "tuned_depth": run.records[tuned.trial].config["freeze_depth"],
        "gain": (tuned.best - frozen.best) * (1 if measure.maximize else -1) if known else math.nan,
        "unknown": "" if known else f"{name} ({', '.join(reasons)})",
    }


def draw(data: Regimes, theme: Theme) -> Figure:
    figure = theme.figure(1.5 + 0.45 * len(data.rows))
    axes = figure.subplots()
    places = np.arange(len(data.rows))
    known = data.rows["gain"].notna()
    axes.hlines(places[known], data.rows["frozen"][known], data.rows["tuned"][known], color=theme.muted, lw=1.5)
    handles = []
    for place, (column, (marker, words)) in enumerate(REGIMES.items()):
        look: dict[str, Any] = {"marker": marker, "color": theme.cycle[place], "ms": 7, "ls": ""}
        handles += axes.plot(data.rows[column][known], places[known], label=words, **look)
        axes.plot(data.rows[column][~known], places[~known], mfc="none", **look)
    names = [
        f"{shortened(row['architecture'])}\ndepth {row['tuned_depth']}" + ("; unknown" if row["unknown"] else "")
        for row in data.rows.to_dict("records")
    ]
    axes.set_yticks(places, names)
    axes.set_ylim(len(places) - 0.5, -0.5)
    axes.margins(x=0.08)
    axes.set_xlabel(metric_label(data.metric))
    theme.legend(figure, handles)
    return figure


def finding(data: Regimes) -> str:
    known = data.rows[data.rows["gain"].notna()]
    unknown = data.rows[data.rows["gain"].isna()]["unknown"].tolist()
    if known.empty:
        return (
            f"Whether fine-tuning beats the frozen network is unknown, because trials were stopped: {named(unknown)}."
        )
    first = known.iloc[0]
    text = (
        f"Fine-tuning beats the frozen network for {(known['gain'] > 0).sum()} of {len(known)} architectures; for "
        f"{first['architecture']} {data.metric} is {number(first['frozen'])} frozen and {number(first['tuned'])} with "
        f"{first['tuned_depth']} stages frozen"
    )
    return f"{text}; unknown, because trials were stopped, for {named(unknown)}." if unknown else f"{text}."


def table(data: Regimes) -> pd.DataFrame:
    return data.rows


PLOT = Plot(
    title="Frozen against fine-tuned",
    question="Is it worth training more than the head?",
    group="paper",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
