"""Which trials were stopped where: their values at each rung of the scheduler, and their outcomes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thaw.analysis.plots.axes import metric_axis
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.run_data import RunData
from thaw.analysis.words import listed
from thaw.spaces.words import counted

OUTCOMES = {
    "went on": (0, "o"),
    "stopped here": (1, "x"),
    "waits": (4, "P"),
}
"""The outcome of a trial at a rung → its colour in the theme's cycle and its marker."""
MANY = 300


@dataclass(frozen=True)
class Rungs:
    """`trials`: rows rung (an epoch), trial, value, outcome. `counts`: one row per rung: reached, and each outcome."""

    metric: str
    trials: pd.DataFrame
    counts: pd.DataFrame


def compute(run: RunData) -> Rungs:
    scheduler = run.settings["scheduler"]
    if scheduler["type"] == "none":
        raise NotEnough("the scheduler was none, so no trial was stopped early")
    if run.history.empty:
        raise NotEnough("no trial has finished an epoch yet")
    rows = run.history[["trial", "epoch", run.metric]].rename(columns={"epoch": "rung", run.metric: "value"})
    rows = rows.merge(run.trials[["trial", "status", "last_epoch"]], on="trial")
    rows = rows[rows["rung"].isin(_ladder(run))]
    ended = rows["rung"] == rows["last_epoch"]
    rows["outcome"] = np.where(
        ended & (rows["status"] == "pruned"),
        "stopped here",
        np.where(ended & rows["status"].isin(["waiting", "running", "interrupted"]), "waits", "went on"),
    )
    if not (rows["outcome"] == "stopped here").any():
        raise NotEnough("the scheduler has stopped no trial")
    counts = rows.pivot_table(index="rung", columns="outcome", values="trial", aggfunc="count", fill_value=0)
    counts = counts.reindex(columns=list(OUTCOMES), fill_value=0).astype(int)
    counts.insert(0, "reached", counts.sum(axis=1))
    counts = counts[counts["reached"] > 0].reset_index()
    return Rungs(run.metric, rows[["rung", "trial", "value", "outcome"]], counts)


def _ladder(run: RunData) -> list[int]:
    """Epochs at which trials are compared: the rungs, or every epoch from the grace period on (percentile, median)."""
    scheduler = run.settings["scheduler"]
    last = int(run.history["epoch"].max())
    if not {"grace_period", "reduction_factor"} <= scheduler.keys():
        raise NotEnough("the search file does not say at which epochs trials were compared")
    grace, factor = scheduler["grace_period"], scheduler["reduction_factor"]
    if not scheduler["type"].startswith("asha"):
        return list(range(grace, last + 1))
    # No trial is stopped at its last epoch: there is nothing left to save.
    longest = max(int(epochs) for epochs in run.space.options("epochs"))
    rungs = [grace * factor**k for k in range(20)]
    return [rung for rung in rungs if rung < longest]


def draw(data: Rungs, theme: Theme) -> Figure:
    figure = theme.figure(3.9)
    axes = figure.subplots()
    rungs = list(data.counts["rung"])
    many = len(data.trials) > MANY
    present = [outcome for outcome in OUTCOMES if (data.trials["outcome"] == outcome).any()]
    for index, outcome in enumerate(present):
        colour, marker = OUTCOMES[outcome]
        rows = data.trials[data.trials["outcome"] == outcome]
        # Each outcome has its own lane, with points spread evenly over its width.
        lane = (index - (len(present) - 1) / 2) * 0.24
        across = ((np.arange(len(rows)) * 0.6180339887) % 1 - 0.5) * 0.2
        places = rows["rung"].map(rungs.index).to_numpy(dtype=float) + lane + across
        size, alpha = (2.5, 0.5) if many else (5, 0.9)
        sign = "." if many else marker
        axes.plot(places, rows["value"], sign, color=theme.cycle[colour], ms=size, alpha=alpha, rasterized=many)
    names = [
        f"{row['rung']}\n{row['reached']:,} → {row['went on']:,}" if len(rungs) <= 8 else str(row["rung"])
        for row in data.counts.to_dict("records")
    ]
    axes.set_xticks(range(len(rungs)), names)
    axes.set_xlim(-0.6, len(rungs) - 0.4)
    axes.set_xlabel("rung (epoch), and below it trials that reached it → that went on")
    metric_axis(axes, data.metric, data.trials["value"].to_numpy())
    handles = [
        Line2D([], [], ls="", color=theme.cycle[OUTCOMES[outcome][0]], marker=OUTCOMES[outcome][1], label=outcome)
        for outcome in present
    ]
    theme.legend(figure, handles)
    return figure


def finding(data: Rungs) -> str:
    rows = data.counts[data.counts["stopped here"] > 0].to_dict("records")[:4]
    parts = [f"{row['stopped here']:,} of {counted(row['reached'], 'trial')} at epoch {row['rung']}" for row in rows]
    return f"The scheduler stopped {listed(parts)}."


def table(data: Rungs) -> pd.DataFrame:
    return data.counts


PLOT = Plot(
    title="The scheduler's rungs",
    question="Which trials were stopped where?",
    group="search",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
