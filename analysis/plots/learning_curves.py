"""The objective by epoch, one line per trial, coloured by how the trial ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from thaw.analysis.plots.axes import metric_axis, whole_numbers
from thaw.analysis.plots.fates import FATES, fate_handles
from thaw.analysis.plots.interactive import plotly_figure
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import BOTH, Theme
from thaw.analysis.plots.trials import best_first, thinned
from thaw.analysis.run_data import RunData
from thaw.analysis.words import listed, metric_label, number
from thaw.spaces.words import counted

LIMIT = 300
"""The number of lines up to which individual ones remain visible."""


@dataclass(frozen=True)
class Curves:
    """Rows trial, epoch, value, status of the drawn trials; the statuses of all trials with a curve; the best trial."""

    metric: str
    rows: pd.DataFrame
    statuses: pd.Series
    best: int | None


def compute(run: RunData) -> Curves:
    trials = run.trials
    trials = best_first(trials[trials["best_epoch"].notna()], run.metric)
    if trials.empty:
        raise NotEnough("no trial has finished an epoch yet")
    best = run.best.number if run.best else None
    shown = thinned(trials, LIMIT)
    if best is not None and best not in shown["trial"].to_numpy():
        shown = pd.concat([trials[trials["trial"] == best], shown])
    rows = run.history[["trial", "epoch", run.metric]].rename(columns={run.metric: "value"})
    rows = rows.merge(shown[["trial", "status"]], on="trial").sort_values(["trial", "epoch"], ignore_index=True)
    return Curves(run.metric, rows, trials["status"], best)


def draw(curves: Curves, theme: Theme) -> Figure:
    figure = theme.figure(4.0)
    axes = figure.subplots()
    for status, fate in FATES.items():
        rows = curves.rows[curves.rows["status"] == status]
        if rows.empty:
            continue
        ink = fate.ink(theme)
        axes.add_collection(LineCollection(_lines(rows), colors=ink, linewidths=0.8, alpha=0.6), autolim=True)
        last = rows.drop_duplicates("trial", keep="last")
        # Without the marker at its end, a trial of one epoch would be invisible.
        axes.plot(
            last["epoch"], last["value"], fate.marker, color=ink, markersize=fate.size(4), alpha=0.8, clip_on=False
        )
    handles = fate_handles(set(curves.rows["status"]), theme)
    best = curves.rows[curves.rows["trial"] == curves.best]
    if not best.empty:
        handles += axes.plot(best["epoch"], best["value"], color=theme.text, lw=2, label=f"best: trial {curves.best}")
    axes.margins(x=0.03)
    axes.autoscale_view()
    axes.set_xlabel("epoch")
    whole_numbers(axes)
    metric_axis(axes, curves.metric, curves.rows["value"].to_numpy())
    shown = curves.rows["trial"].nunique()
    if shown < len(curves.statuses):
        sample = f"{shown} of {len(curves.statuses):,} trials: the best ones and an even sample of the others"
        axes.set_title(theme.lines(sample))
    theme.legend(figure, handles)
    return figure


def _lines(rows: pd.DataFrame) -> list[np.ndarray]:
    """One (epochs, 2) array per trial, from rows ordered by trial and epoch."""
    points = rows[["epoch", "value"]].to_numpy(dtype=float)
    starts = np.flatnonzero(np.diff(rows["trial"].to_numpy())) + 1
    return np.split(points, starts)


def finding(curves: Curves) -> str:
    counts = curves.statuses.value_counts()
    fates = [f"{counts[status]:,} {fate.words}" for status, fate in FATES.items() if status in counts]
    text = f"Of {counted(len(curves.statuses), 'trial')} with at least one epoch: {listed(fates)}."
    best = curves.rows[curves.rows["trial"] == curves.best]
    if best.empty:
        return text
    row = best_first(best, curves.metric, "value").iloc[0]
    value = f"{curves.metric} {number(row['value'])} at epoch {row['epoch']}"
    return f"{text[:-1]}; the best is trial {curves.best}, {value}."


def table(curves: Curves) -> pd.DataFrame:
    return curves.rows.rename(columns={"value": curves.metric})


def interactive(curves: Curves) -> dict[str, Any]:
    traces = []
    for status, fate in FATES.items():
        x: list[float | None] = []
        y: list[float | None] = []
        words: list[str] = []
        for number_, rows in curves.rows[curves.rows["status"] == status].groupby("trial"):
            # None ends a line, so that all lines of one status form one trace.
            x += [*rows["epoch"].tolist(), None]
            y += [*rows["value"].round(5).tolist(), None]
            words += [f"trial {number_}"] * (len(rows) + 1)
        if x:
            traces.append(
                {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "name": fate.words,
                    "x": x,
                    "y": y,
                    "text": words,
                    "hovertemplate": "%{text}<br>epoch %{x}: %{y}",
                    "line": {"width": 1, "color": fate.ink(BOTH)},
                    "marker": {"size": 4},
                }
            )
    return plotly_figure(traces, "epoch", metric_label(curves.metric))


PLOT = Plot(
    title="Learning curves of all trials",
    question="How did the trials learn, and which were stopped?",
    group="search",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
    interactive=interactive,
)
