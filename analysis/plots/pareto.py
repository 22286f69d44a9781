"""Quality against cost, and the Pareto front.

Costs are training seconds and trained parameters or, for a search with several objectives, the costs among them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thaw.analysis.plots.axes import logarithmic, metric_axis
from thaw.analysis.plots.interactive import plotly_figure
from thaw.analysis.plots.kinds import Kinds
from thaw.analysis.plots.plot import Plot
from thaw.analysis.plots.theme import BOTH, Theme
from thaw.analysis.plots.trials import finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import listed, metric_label, number
from thaw.spaces import metric
from thaw.spaces.words import counted

COSTS = {"seconds_alone": "one trial by itself (seconds)", "parameters": "trained parameters (number)"}
OBJECTIVES = {
    "seconds": "an epoch by itself (seconds)",
    "parameters": "weights of the network (number)",
    "macs": "multiply-accumulates for one image (number)",
    "latency": "one image (seconds)",
}
"""Cost that is an objective → title of its axis."""
MANY = 500


@dataclass(frozen=True)
class Front:
    """One row per trial, best first: trial, architecture, freeze_depth, status, value, costs, and on_… for each cost.

    The costs are seconds_alone (by itself; seconds: here, see :mod:`thaw.analysis.cost`) and trained parameters.
    `on_…`: no other trial is at least as good and cheaper, or better and at most as expensive. A stopped trial counts
    with the value and the cost that it had reached.

    Args:
        metric: the objective's column.
        trials: the rows.
        costs: column → title of its axis.
        several: whether the costs are objectives of the search; they are then called cost_….
        joint: numbers of the trials on the Pareto front of all objectives, best first.
    """

    metric: str
    trials: pd.DataFrame
    costs: dict[str, str]
    several: bool = False
    joint: tuple[int, ...] = ()


def compute(run: RunData) -> Front:
    trials = finished_trials(run)
    further = {f"cost_{name}": OBJECTIVES[name] for name in run.objectives[1:] if f"cost_{name}" in trials}
    costs = further or COSTS
    columns = ["trial", "architecture", "freeze_depth", "status", run.metric, "seconds", *costs]
    rows = trials[columns].rename(columns={run.metric: "value"}).astype(dict.fromkeys(costs, float))
    maximize = metric(run.metric).maximize
    for cost in costs:
        rows[f"on_{cost}"] = _front(rows["value"].to_numpy(), rows[cost].to_numpy(), maximize)
    joint = tuple(record.number for record in run.front) if further else ()
    return Front(run.metric, rows, costs, bool(further), joint)


def _front(value: np.ndarray, cost: np.ndarray, maximize: bool) -> np.ndarray:
    """Which points no other point dominates; of equal points, only the first is on the front."""
    quality = value if maximize else -value
    order = np.lexsort((np.arange(len(cost)), -quality, cost))
    best_before = np.maximum.accumulate(np.concatenate([[-np.inf], quality[order][:-1]]))
    on = np.zeros(len(cost), dtype=bool)
    on[order] = quality[order] > best_before
    return on


def draw(data: Front, theme: Theme) -> Figure:
    columns = theme.columns(len(data.costs), 2)
    lines = math.ceil(len(data.costs) / columns)
    figure = theme.figure(3.6 * lines if columns > 1 else 0.8 + 2.8 * lines)
    panels = figure.subplots(lines, columns, sharey=True, squeeze=False).ravel()
    for axes in panels[len(data.costs) :]:
        axes.set_visible(False)
    kinds = Kinds.of(data.trials["architecture"])
    many = len(data.trials) > MANY
    for axes, (cost, title) in zip(panels, data.costs.items(), strict=False):
        for name in reversed(kinds.names):
            rows = data.trials[data.trials["architecture"] == name]
            colour, marker = kinds.style(name, theme)
            look: dict[str, Any] = {"ls": "", "color": colour, "marker": marker, "rasterized": many, **_size(many)}
            stopped = rows["status"] == "pruned"
            axes.plot(rows[cost][stopped], rows["value"][stopped], mfc="none", mew=0.8, **look)
            axes.plot(rows[cost][~stopped], rows["value"][~stopped], mew=0, **look)
        front = data.trials[data.trials[f"on_{cost}"]].sort_values(cost)
        axes.plot(front[cost], front["value"], drawstyle="steps-post", color=theme.text, lw=1.2)
        axes.plot(front[cost], front["value"], "o", color=theme.text, mfc="none", ms=7)
        logarithmic(axes, "x", max(data.trials[cost].min(), 1e-3), max(data.trials[cost].max(), 1e-3))
        axes.set_xlabel(title)
    for axes in panels[::columns]:
        metric_axis(axes, data.metric, data.trials["value"].to_numpy())
    line = Line2D([], [], color=theme.text, lw=1.2, marker="o", mfc="none", label="Pareto front")
    hollow = Line2D([], [], color=theme.muted, lw=0, marker="o", ms=5, mfc="none", label="stopped early")
    some_stopped = (data.trials["status"] == "pruned").any()
    theme.legend(figure, [*kinds.handles(theme), *([hollow] if some_stopped else []), line])
    return figure


def _size(many: bool) -> dict[str, Any]:
    return {"ms": 2.5, "alpha": 0.5} if many else {"ms": 5, "alpha": 0.85}


def finding(data: Front) -> str:
    if data.several:
        return _objectives(data)
    front = data.trials[data.trials["on_seconds_alone"]].sort_values("seconds_alone")
    cheap, good = front.iloc[0], front.iloc[-1]
    text = f"The Pareto front of quality and time by itself has {len(front):,} of {counted(len(data.trials), 'trial')}"
    best = f"trial {good['trial']} with {data.metric} {number(good['value'])} for {_time(good)}"
    if len(front) == 1:
        return f"{text}: {best}, the best and the cheapest."
    small = data.trials[data.trials["on_parameters"]].sort_values("parameters").iloc[0]
    start = f"trial {cheap['trial']} with {number(cheap['value'])} for {_time(cheap)}"
    fewest = f"the fewest trained parameters, {number(small['parameters'])}, give {number(small['value'])}"
    return f"{text}: from {start} to {best}; {fewest}."


def _objectives(data: Front) -> str:
    """The Pareto front of several objectives, and its ends."""
    names = listed([data.metric, *(cost.removeprefix("cost_") for cost in data.costs)])
    text = f"The Pareto front of {names} has {len(data.joint):,} of {counted(len(data.trials), 'trial')}"
    rows = data.trials.set_index("trial").loc[list(data.joint)]
    best = rows.iloc[0]
    ends = [
        f"the least {cost.removeprefix('cost_')}, {number(row[cost])}, with {number(row['value'])} (trial {row.name})"
        for cost in data.costs
        for row in [rows.sort_values(cost, kind="stable").iloc[0]]
    ]
    return f"{text}: the best is trial {best.name} with {data.metric} {number(best['value'])}; {listed(ends)}."


def _time(trial: pd.Series) -> str:
    alone, here = float(trial["seconds_alone"]), float(trial["seconds"])
    apart = f" ({number(here)} here, because activations are shared)" if alone - here >= 0.05 else ""
    return f"{number(alone)} seconds{apart}"


def table(data: Front) -> pd.DataFrame:
    rows = data.trials.rename(columns={"value": data.metric})
    return rows if data.several else rows.astype({"parameters": int})


def interactive(data: Front) -> dict[str, Any]:
    first, title = next(iter(data.costs.items()))
    kinds = Kinds.of(data.trials["architecture"])
    rows = data.trials.iloc[:2000]
    traces = []
    for name in kinds.shown:
        part = rows[rows["architecture"].map(kinds.name) == name]
        words = [
            f"trial {row['trial']}, {row['architecture']}, freeze depth {row['freeze_depth']}{_further(row, data)}"
            for row in part.to_dict("records")
        ]
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": name,
                "x": part[first].round(6).tolist(),
                "y": part["value"].round(5).tolist(),
                "text": words,
                "hovertemplate": "%{text}<br>%{x}: %{y}<extra></extra>",
                "marker": {"color": kinds.style(name, BOTH)[0], "size": 7},
            }
        )
    x = {"type": "log", "title": {"text": title}, "automargin": True}
    return plotly_figure(traces, "", metric_label(data.metric), xaxis=x)


def _further(row: dict[Any, Any], data: Front) -> str:
    """The costs without an axis in the interactive plot."""
    if data.several:
        return "".join(f", {cost.removeprefix('cost_')} {number(row[cost])}" for cost in [*data.costs][1:])
    return f", {number(row['parameters'])} trained parameters"


PLOT = Plot(
    title="Quality against cost",
    question="What does quality cost, in time and in trained parameters?",
    group="cost",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
    interactive=interactive,
)
