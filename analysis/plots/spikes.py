"""Epochs where a metric falls by more than its own noise, and what was special about them.

A trial's changes from epoch to epoch, signed so that more is better, have a median m and a robust standard deviation
s = 1.4826 · median |change − m|. An epoch is a spike where the metric got worse, its change lies more than 3 s below m,
and it lost more than 0.01 (a metric from 0 to 1) or 5 % (a loss). Trials of fewer than five epochs are left out: they
have too few changes to say what is noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from analysis.plots.axes import logarithmic
from analysis.plots.plot import NotEnough, Plot
from analysis.plots.theme import Theme
from analysis.plots.words import counted, number
from analysis.run import Run
from spaces import STAGES, metric

DEVIATIONS = 3.0
ROBUST = 1.4826
"""The median absolute deviation of normal noise times this is its standard deviation."""
EPOCHS = 5
SHARE, PART = 0.01, 0.05
MARKERS = "os^Dv*"


@dataclass(frozen=True)
class Spikes:
    """`epochs`: one row an epoch from the second on of trials that are long enough.

    Columns trial, architecture, freeze_depth, epoch, value, fall (how much worse than the epoch before; negative if
    better), spike, learning_rate, gradient (its norm, as a multiple of the trial's median).
    """

    metric: str
    epochs: pd.DataFrame

    @property
    def spikes(self) -> pd.DataFrame:
        """The largest falls first."""
        return self.epochs[self.epochs["spike"]].sort_values("fall", ascending=False)


def compute(run: Run) -> Spikes:
    history = run.history
    lengths = history.groupby("trial")["epoch"].transform("size")
    rows = history[lengths >= EPOCHS]
    if rows.empty:
        raise NotEnough(f"no trial has {EPOCHS} epochs, too few to tell a fall from noise")
    measure = metric(run.metric)
    better = rows[run.metric] if measure.maximize else -rows[run.metric]
    change = better.groupby(rows["trial"]).diff()
    middle = change.groupby(rows["trial"]).transform("median")
    deviation = ROBUST * (change - middle).abs().groupby(rows["trial"]).transform("median")
    floor = SHARE if math.isfinite(measure.high) else PART * rows.groupby("trial")[run.metric].shift()
    spike = (-change > floor) & (middle - change > DEVIATIONS * deviation)
    gradient = rows["gradient_norm"] / rows.groupby("trial")["gradient_norm"].transform("median")
    table = rows[["trial", "epoch", "learning_rate"]].assign(
        value=rows[run.metric], fall=-change, spike=spike, gradient=gradient
    )
    table = table[change.notna()].merge(run.trials[["trial", "architecture", "freeze_depth"]], on="trial")
    if not table["spike"].any():
        raise NotEnough(f"none of {len(table):,} epochs falls by more than its trial's own noise")
    return Spikes(run.metric, table)


def draw(data: Spikes, theme: Theme) -> Figure:
    figure = theme.figure(3.4)
    left, right = figure.subplots(1, 2, sharey=True)
    spikes = data.spikes
    depths = sorted({int(depth) for depth in spikes["freeze_depth"]})
    for depth in depths:
        rows = spikes[spikes["freeze_depth"] == depth]
        look = {"ls": "", "marker": MARKERS[depth], "color": theme.shade(depth / STAGES), "ms": 6, "alpha": 0.85}
        left.plot(rows["learning_rate"], rows["fall"], rasterized=len(spikes) > 500, **look)
        right.plot(rows["gradient"], rows["fall"], rasterized=len(spikes) > 500, **look)
    calm = data.epochs.loc[~data.epochs["spike"]]
    for axes, column in ((left, "learning_rate"), (right, "gradient")):
        values = data.epochs[column][data.epochs[column] > 0]
        logarithmic(axes, "x", values.min(), values.max())
        axes.axvline(calm[column].median(), color=theme.cycle[1], ls="--", lw=1.2)
    left.set_ylim(0, spikes["fall"].max() * 1.08)
    left.set_ylabel(f"fall of {data.metric} in the epoch")
    left.set_xlabel("learning rate in the epoch")
    right.set_xlabel("gradient norm (multiple of the trial's median)")
    handles = [
        Line2D([], [], ls="", marker=MARKERS[d], color=theme.shade(d / STAGES), label=f"freeze depth {d}")
        for d in depths
    ]
    median = Line2D([], [], color=theme.cycle[1], ls="--", lw=1.2, label="median of the other epochs")
    theme.legend(figure, [*handles, median])
    return figure


def finding(data: Spikes) -> str:
    spikes, calm = data.spikes, data.epochs[~data.epochs["spike"]]
    worst = spikes.iloc[0]
    return (
        f"{data.metric} falls by more than the trial's own noise in {len(spikes):,} of "
        f"{counted(len(data.epochs), 'epoch')}, most in trial {worst['trial']} at epoch {worst['epoch']} (by "
        f"{number(worst['fall'])}); the median learning rate of these epochs is "
        f"{number(spikes['learning_rate'].median())} (of the others {number(calm['learning_rate'].median())}), their "
        f"gradient norm {number(spikes['gradient'].median())} times its trial's median."
    )


def table(data: Spikes) -> pd.DataFrame:
    return data.spikes.reset_index(drop=True)


PLOT = Plot(
    title="Spikes: sudden falls of the objective",
    question="Why does quality fall at times, and then recover or not?",
    group="search",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
