"""Freeze depth and learning rate together: does the right learning rate depend on how much is frozen?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thaw.analysis.equal_epochs import named, standings
from thaw.analysis.plots.axes import logarithmic
from thaw.analysis.plots.interactive import COLORSCALE, plotly_figure
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.plots.trials import active_values, best_first, finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import number
from thaw.spaces import metric
from thaw.spaces.words import counted

SPREAD = 0.32
"""The maximum distance of a point above or below the line of its depth."""


@dataclass(frozen=True)
class Interaction:
    """Trials with pretrained weights, best first: trial, architecture, freeze_depth, learning_rate, value, whole.

    `whole`: trained to the end; the value of other trials is their best before they were stopped. `unknown` maps each
    freeze depth without a whole trial to a phrase on how its trials were stopped.
    """

    metric: str
    trials: pd.DataFrame
    unknown: dict[Any, str]

    @property
    def best(self) -> pd.DataFrame:
        """The best whole trial of each depth, in order of depth."""
        return self.trials[self.trials["whole"]].drop_duplicates("freeze_depth").sort_values("freeze_depth")


def compute(run: RunData) -> Interaction:
    trials = finished_trials(run)
    trials = trials.assign(freeze_depth=active_values(run, trials, "freeze_depth")).dropna(subset="freeze_depth")
    if trials["freeze_depth"].nunique() < 2:
        raise NotEnough("fewer than two freeze depths were tried")
    if trials["learning_rate"].nunique() < 2:
        raise NotEnough("fewer than two learning rates were tried")
    trials = trials.astype({"freeze_depth": int}).assign(whole=trials["status"] != "pruned")
    unknown = {place.key[0]: place.stopped for place in standings(run, trials, ["freeze_depth"]) if place.unknown}
    columns = ["trial", "architecture", "freeze_depth", "learning_rate", run.metric, "whole"]
    return Interaction(run.metric, trials[columns].rename(columns={run.metric: "value"}), unknown)


def draw(data: Interaction, theme: Theme) -> Figure:
    figure = theme.figure(3.8)
    axes = figure.subplots()
    # The best trials last, on top of the others.
    trials = data.trials.iloc[::-1]
    heights = trials["freeze_depth"] + _spread(trials["freeze_depth"])
    many = len(trials) > 500
    colours = theme.colours if metric(data.metric).maximize else theme.colours.reversed()
    whole = trials["whole"]
    axes.plot(
        trials["learning_rate"][~whole],
        heights[~whole],
        ".",
        color=theme.muted,
        ms=4 if many else 6,
        alpha=0.8,
        rasterized=many,
    )
    points = axes.scatter(
        trials["learning_rate"][whole],
        heights[whole],
        c=trials["value"][whole],
        cmap=colours,
        s=8 if many else 26,
        lw=0,
        rasterized=many,
    )
    best = data.best
    on_top = heights.loc[best.index]
    axes.plot(best["learning_rate"], on_top, color=theme.text, lw=0.8, ls=":", marker="o", ms=9, mfc="none")
    logarithmic(axes, "x", data.trials["learning_rate"].min(), data.trials["learning_rate"].max())
    depths = sorted(set(trials["freeze_depth"]))
    axes.set_yticks(depths, [f"{depth}" for depth in depths])
    axes.set_ylim(depths[0] - 0.5, depths[-1] + 0.5)
    axes.set_xlabel("learning rate (no unit)")
    axes.set_ylabel("freeze depth (stages frozen)")
    if whole.any():
        bar = figure.colorbar(points, ax=axes, fraction=0.05, aspect=30)
        bar.set_label(data.metric)
        bar.outline.set_visible(False)
    ring = Line2D(
        [], [], color=theme.text, lw=0.8, ls=":", marker="o", ms=8, mfc="none", label="best of those trained to the end"
    )
    dot = Line2D([], [], color=theme.muted, lw=0, marker=".", ms=7, label="stopped early")
    theme.legend(figure, [ring] if whole.all() else [ring, dot])
    return figure


def _spread(depths: pd.Series) -> np.ndarray:
    """Offsets that separate trials of one depth; they do not depend on the other depths."""
    place = depths.groupby(depths).cumcount().to_numpy()
    # Multiples of the golden ratio fill an interval evenly, whatever their number.
    return ((place * 0.6180339887) % 1 - 0.5) * 2 * SPREAD


def finding(data: Interaction) -> str:
    best = data.best
    cannot = [f"{depth} ({words})" for depth, words in sorted(data.unknown.items())]
    unknown = f"the best learning rate is unknown at freeze depth {named(cannot)}." if cannot else ""
    if len(best) < 2:
        return f"The best learning rates by depth cannot be compared; {unknown}"
    winner = best_first(best, data.metric, "value").iloc[0]
    counts = data.trials["freeze_depth"].value_counts()
    whole = data.trials[data.trials["whole"]]["freeze_depth"].value_counts()
    parts = []
    for row in (best.iloc[0], best.iloc[-1]):
        depth = int(row["freeze_depth"])
        some = f"{whole[depth]} of " if whole[depth] < counts[depth] else ""
        trials = f"{some}{counted(int(counts[depth]), 'trial')}"
        parts.append(f"{number(row['learning_rate'])} at freeze depth {depth} ({trials})")
    text = (
        f"Of the trials trained to the end, the best learning rate was {parts[0]} and {parts[1]}; the best of these "
        f"trials has depth {winner['freeze_depth']} and learning rate {number(winner['learning_rate'])}"
    )
    return f"{text}; {unknown}" if unknown else f"{text}."


def table(data: Interaction) -> pd.DataFrame:
    return data.trials.rename(columns={"value": data.metric})


def interactive(data: Interaction) -> dict[str, Any]:
    rows = data.trials.iloc[:2000]
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": [float(f"{rate:.4g}") for rate in rows["learning_rate"]],
        "y": (rows["freeze_depth"] + _spread(rows["freeze_depth"])).round(3).tolist(),
        "text": [f"trial {trial}, {name}" for trial, name in zip(rows["trial"], rows["architecture"], strict=True)],
        "customdata": rows[["freeze_depth", "value"]].round(5).to_numpy().tolist(),
        "hovertemplate": f"%{{text}}<br>freeze depth %{{customdata[0]}}, learning rate %{{x}}<br>{data.metric} "
        "%{customdata[1]}<extra></extra>",
        "marker": {
            "color": rows["value"].round(5).tolist(),
            "colorscale": COLORSCALE,
            "reversescale": not metric(data.metric).maximize,
            "colorbar": {"title": {"text": data.metric}},
            "size": 8,
        },
    }
    axis = {"type": "log", "title": {"text": "learning rate"}, "automargin": True}
    return plotly_figure([trace], "", "freeze depth (stages frozen)", xaxis=axis)


PLOT = Plot(
    title="Freeze depth and learning rate together",
    question="Does the right learning rate depend on how much is frozen?",
    group="thaw",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
    interactive=interactive,
)
