"""The learning curve of the best trial at each freeze depth, one panel per architecture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thaw.analysis.equal_epochs import named, standings
from thaw.analysis.plots.axes import metric_axis, whole_numbers
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.plots.trials import finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import listed, number, shortened
from thaw.spaces import STAGES, metric
from thaw.spaces.words import counted

PANELS = 4
MARKERS = "os^Dv*"
"""A marker for each freeze depth, so that colour is never the only difference."""


@dataclass(frozen=True)
class DepthCurves:
    """Rows architecture, freeze_depth, trial, epoch, value of the best trials, best architecture first.

    `best` has one row per curve, best first: architecture, freeze_depth, trial, value (the best within the compared
    epochs), whole (how many trials were trained to the end), settled (none of the others could have done better),
    stopped (how the others were stopped, in words).
    """

    metric: str
    curves: pd.DataFrame
    best: pd.DataFrame


def compute(run: RunData) -> DepthCurves:
    trials = finished_trials(run)
    depths = trials.groupby("architecture")["freeze_depth"].nunique()
    if depths.max() < 2:
        raise NotEnough("no architecture was tried at two freeze depths")
    trials = trials[trials["architecture"].isin(depths.index[depths > 1])]
    best = pd.DataFrame(
        [
            (*place.key, place.trial, place.best, place.whole, place.settled, place.stopped)
            for place in standings(run, trials, ["architecture", "freeze_depth"])
        ],
        columns=["architecture", "freeze_depth", "trial", "value", "whole", "settled", "stopped"],
    )
    rows = run.history[["trial", "epoch", run.metric]].rename(columns={run.metric: "value"})
    curves = best[["architecture", "freeze_depth", "trial", "whole"]].merge(rows, on="trial")
    return DepthCurves(run.metric, curves, best)


def draw(data: DepthCurves, theme: Theme) -> Figure:
    names = list(dict.fromkeys(data.best["architecture"]))
    shown = names[:PANELS]
    columns = theme.columns(len(shown), 2)
    rows = -(-len(shown) // columns)
    figure = theme.figure(0.9 + 2.4 * rows)
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in panels.flat[len(shown) :]:
        axes.remove()
    for axes, name in zip(panels.flat, shown, strict=False):
        of_name = data.curves[data.curves["architecture"] == name]
        for depth, curve in of_name.groupby("freeze_depth"):
            # Dashed: this trial was stopped, and so was every other trial at that depth.
            line = "-" if curve["whole"].iloc[0] else "--"
            axes.plot(curve["epoch"], curve["value"], line, **_style(int(depth), theme))
        axes.set_title(shortened(name, 30))
        whole_numbers(axes)
        metric_axis(axes, data.metric, data.curves["value"].to_numpy())
        axes.label_outer()
    for column in range(columns):
        # The lowest panel of each column, which need not be in the last row.
        lowest = panels.flat[max(index for index in range(len(shown)) if index % columns == column)]
        lowest.set_xlabel("epoch")
        lowest.tick_params(labelbottom=True)
    depths = sorted({int(depth) for depth in data.best["freeze_depth"]})
    handles = [Line2D([], [], label=f"freeze depth {depth}", **_style(depth, theme)) for depth in depths]
    if not data.best["whole"].all():
        handles.append(Line2D([], [], color=theme.muted, ls="--", label="every trial was stopped"))
    theme.legend(figure, handles)
    if len(shown) < len(names):
        theme.title(figure, f"{PLOT.title}, the best {len(shown)} of {len(names)} architectures")
    return figure


def _style(depth: int, theme: Theme) -> dict[str, Any]:
    return {"color": theme.shade(depth / STAGES), "marker": MARKERS[depth], "markersize": 4, "linewidth": 1.4}


def finding(data: DepthCurves) -> str:
    name = data.best["architecture"].iloc[0]
    rows = data.best[data.best["architecture"] == name].to_dict("records")
    more = "or more" if metric(data.metric).maximize else "or less"
    parts = [
        number(row["value"])
        + ("" if row["settled"] else f" {more}")
        + f" with {counted(row['freeze_depth'], 'stage')} frozen"
        for row in rows
        if row["whole"]
    ]
    unknown = [f"{row['freeze_depth']} ({row['stopped']})" for row in rows if not row["whole"]]
    text = f"The best trials of {name} reach {data.metric} {listed(parts)}" if parts else ""
    if unknown:
        text += f"{'; what it' if text else f'What {name}'} would reach at {_depths(unknown)} is unknown"
    return f"{text}."


def _depths(words: list[str]) -> str:
    return f"depth{'s' if len(words) > 1 else ''} {named(words)}"


def table(data: DepthCurves) -> pd.DataFrame:
    return data.curves.rename(columns={"value": data.metric})


PLOT = Plot(
    title="Best learning curve at each freeze depth",
    question="How fast and how far does a network learn when more of it is frozen?",
    group="thaw",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
