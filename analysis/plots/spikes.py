"""Epochs where a metric falls by more than its own noise, and what was special about them.

Changes from epoch to epoch are signed so that more is better. The noise of an epoch is estimated from the trial's other
changes, excluding the recovery in the next epoch: their median m, and s = 1.4826 · median |change − m|. The epoch is a
spike if the metric got worse, its change lies more than 3 s below m, and it lost more than 0.01 (a metric from 0 to 1)
or 5 % (a loss). Epochs with fewer than three other changes are left out, as their noise cannot be estimated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thaw.analysis.plots.axes import logarithmic
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.run_data import RunData
from thaw.analysis.words import number
from thaw.spaces import STAGES, metric
from thaw.spaces.words import counted

DEVIATIONS = 3.0
ROBUST = 1.4826
"""Converts the median absolute deviation of normal noise to its standard deviation."""
OTHERS = 3
SHARE, PART = 0.01, 0.05
MARKERS = "os^Dv*"


@dataclass(frozen=True)
class Spikes:
    """`epochs`: one row per epoch that can be judged.

    Columns trial, architecture, freeze_depth, epoch, value, fall (how much worse than the epoch before; negative if
    better), limit (the fall explained by noise), spike, learning_rate, gradient (its norm, as a multiple of the
    trial's median).
    """

    metric: str
    epochs: pd.DataFrame

    @property
    def spikes(self) -> pd.DataFrame:
        """The largest falls first."""
        return self.epochs[self.epochs["spike"]].sort_values("fall", ascending=False)


def compute(run: RunData) -> Spikes:
    measure = metric(run.metric)
    rows = run.history[["trial", "epoch", run.metric, "learning_rate", "gradient_norm"]].copy()
    rows["fall"] = rows.groupby("trial")[run.metric].diff() * (-1 if measure.maximize else 1)
    rows["limit"] = _limits(rows)
    rows["gradient"] = rows["gradient_norm"] / rows.groupby("trial")["gradient_norm"].transform("median")
    floor = SHARE if math.isfinite(measure.high) else PART * rows.groupby("trial")[run.metric].shift()
    rows["spike"] = (rows["fall"] > floor) & (rows["fall"] > rows["limit"])
    rows = rows.dropna(subset="limit").rename(columns={run.metric: "value"})
    if rows.empty:
        raise NotEnough("no trial has enough epochs to distinguish a fall from noise")
    if not rows["spike"].any():
        raise NotEnough(
            f"in none of {counted(len(rows), 'epoch')} does the metric fall by more than the trial's own noise"
        )
    rows = rows.merge(run.trials[["trial", "architecture", "freeze_depth"]], on="trial")
    return Spikes(run.metric, rows.drop(columns="gradient_norm"))


def _limits(rows: pd.DataFrame) -> np.ndarray:
    """The fall above which each epoch exceeds the noise; NaN if too few other changes are known."""
    table = rows.pivot(index="trial", columns="epoch", values="fall")
    falls = table.to_numpy(dtype=float)
    limits = np.full(falls.shape, np.nan)
    for column in range(falls.shape[1]):
        others = falls.copy()
        others[:, column : column + 2] = np.nan
        middle = _median(others)
        deviation = ROBUST * _median(np.abs(others - middle[:, None]))
        known = np.isfinite(falls[:, column]) & (np.isfinite(others).sum(axis=1) >= OTHERS)
        limits[known, column] = (middle + DEVIATIONS * deviation)[known]
    return limits[table.index.get_indexer(pd.Index(rows["trial"])), table.columns.get_indexer(pd.Index(rows["epoch"]))]


def _median(values: np.ndarray) -> np.ndarray:
    """The median of each row, ignoring NaN; much faster than numpy's own on many short rows."""
    ordered = np.sort(values, axis=1)
    count = np.isfinite(ordered).sum(axis=1)
    lines = np.arange(len(ordered))
    low, high = np.maximum(count - 1, 0) // 2, np.minimum(count // 2, ordered.shape[1] - 1)
    return np.where(count > 0, (ordered[lines, low] + ordered[lines, high]) / 2, np.nan)


def draw(data: Spikes, theme: Theme) -> Figure:
    columns = theme.columns(2, 2)
    figure = theme.figure(3.4 if columns == 2 else 5.2)
    left, right = figure.subplots(2 // columns, columns, sharey=True, squeeze=False).flat
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
    for axes in (left, right)[: 3 - columns]:
        axes.set_ylabel(f"fall of {data.metric} in the epoch")
    left.set_xlabel("learning rate in the epoch")
    right.set_xlabel("gradient norm (× the trial's median)")
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
    question="Why does quality sometimes fall, and does it recover?",
    group="search",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
