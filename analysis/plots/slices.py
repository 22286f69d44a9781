"""The objective against each searched hyperparameter; a note says where the best trial lies at the space's edge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from thaw.analysis.plots.axes import logarithmic, metric_axis, whole_numbers
from thaw.analysis.plots.fates import FATES, fate_handles
from thaw.analysis.plots.interactive import plotly_figure
from thaw.analysis.plots.plot import Plot
from thaw.analysis.plots.searched import Searched, searched
from thaw.analysis.plots.theme import BOTH, Theme
from thaw.analysis.plots.trials import finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import hyperparameter_label, listed, metric_label, shortened, value
from thaw.spaces import Choice, Int
from thaw.spaces.words import counted

MANY = 500
"""The number of trials above which points are drawn small and as pixels, even in vector files."""


@dataclass(frozen=True)
class Slices:
    """The finished trials, best first, and their searched hyperparameters."""

    metric: str
    trials: pd.DataFrame
    columns: list[Searched]

    @property
    def at_the_edge(self) -> dict[str, str]:
        """Hyperparameter → ``lower`` or ``upper``, if the best trial lies at the boundary of the space."""
        found = {column.name: column.boundary(column.values.iloc[0]) for column in self.columns}
        return {name: end for name, end in found.items() if end}


def compute(run: RunData) -> Slices:
    trials = finished_trials(run)
    return Slices(run.metric, trials, searched(run, trials))


def draw(data: Slices, theme: Theme) -> Figure:
    columns = theme.columns(len(data.columns), 2)
    rows = -(-len(data.columns) // columns)
    figure = theme.figure(0.7 + 2.0 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
    for axes in panels.flat[len(data.columns) :]:
        axes.remove()
    for axes, column in zip(panels.flat, data.columns, strict=False):
        _panel(axes, column, data, theme)
        axes.label_outer(remove_inner_ticks=False)
        axes.tick_params(labelbottom=True)
        axes.set_xlabel(hyperparameter_label(column.name))
    for row in panels:
        metric_axis(row[0], data.metric, data.trials[data.metric].to_numpy())
        row[0].set_ylabel(data.metric)
    star = Line2D([], [], color=theme.cycle[1], marker="*", ms=11, lw=0, label="best trial")
    theme.legend(figure, [*fate_handles(set(data.trials["status"]), theme), star])
    return figure


def _panel(axes: Axes, column: Searched, data: Slices, theme: Theme) -> None:
    known = column.values.notna().to_numpy()
    places = column.places() if isinstance(column.parameter, Choice) else column.values.to_numpy(dtype=float)
    if isinstance(column.parameter, Choice | Int):
        places = places + _apart(places, column)
    quality = data.trials[data.metric].to_numpy()
    many = len(quality) > MANY
    for status, fate in FATES.items():
        rows = known & (data.trials["status"] == status).to_numpy()
        size, alpha = (4, 0.5) if many else (fate.size(4), 0.8)
        axes.plot(
            places[rows],
            quality[rows],
            "." if many else fate.marker,
            color=fate.ink(theme),
            ms=size,
            alpha=alpha,
            mew=0,
            rasterized=many,
        )
    _x_axis(axes, column)
    if known[0]:
        axes.plot(places[:1], quality[:1], "*", color=theme.cycle[1], ms=11, clip_on=False)
        if end := data.at_the_edge.get(column.name):
            axes.set_title(f"best at the {end} end of the range", color=theme.cycle[1])
            assert not isinstance(column.parameter, Choice)
            bound = column.parameter.low if end == "lower" else column.parameter.high
            axes.axvline(bound, color=theme.cycle[1], ls=":", lw=1.2)


def _apart(places: np.ndarray, column: Searched) -> np.ndarray:
    """Sideways offsets that separate trials with the same value."""
    parameter = column.parameter
    gap = 1.0
    if isinstance(parameter, Choice):
        gap = 1 / max(len(parameter.values) - 1, 1)
    elif parameter.step:
        gap = parameter.step
    if column.log:
        return np.zeros(len(places))
    return ((np.arange(len(places)) * 0.6180339887) % 1 - 0.5) * 0.5 * gap


def _x_axis(axes: Axes, column: Searched) -> None:
    parameter = column.parameter
    if isinstance(parameter, Choice):
        names = [shortened(value(item), 18) for item in parameter.values]
        # A panel is about two inches wide, a character 0.07: names that do not fit are drawn vertically.
        vertical = sum(len(name) + 2 for name in names) * 0.07 > 2.5
        axes.set_xticks([column.place(item) for item in parameter.values], names, rotation=90 if vertical else 0)
        margin = 0.5 / max(len(names) - 1, 1)
        axes.set_xlim(-margin, 1 + margin)
    elif parameter.log:
        logarithmic(axes, "x", parameter.low, parameter.high)
    elif isinstance(parameter, Int):
        whole_numbers(axes)
    else:
        span = parameter.high - parameter.low
        axes.set_xlim(parameter.low - 0.05 * span, parameter.high + 0.05 * span)
        axes.locator_params(axis="x", nbins=5)


def finding(data: Slices) -> str:
    best = [f"{c.name} {value(c.values.iloc[0])}" for c in data.columns if pd.notna(c.values.iloc[0])]
    start = f"The best of {counted(len(data.trials), 'finished trial')} has {listed(best)}"
    if not data.at_the_edge:
        return f"{start}; no value lies at a boundary of the space that could be moved."
    edges = [f"{name} ({end} end)" for name, end in data.at_the_edge.items()]
    return f"{start}; at the boundary of the space, which may be too narrow there: {listed(edges)}."


def table(data: Slices) -> pd.DataFrame:
    columns: dict[str, Any] = {"trial": data.trials["trial"], "status": data.trials["status"]}
    columns |= {column.name: column.values for column in data.columns}
    return pd.DataFrame(columns | {data.metric: data.trials[data.metric]})


def interactive(data: Slices) -> dict[str, Any]:
    """One trace per hyperparameter, chosen from a menu."""
    rows = slice(0, 2000)
    traces, buttons, axes = [], [], []
    for index, column in enumerate(data.columns):
        known = column.values.iloc[rows].dropna()
        shown = [value(item) for item in known] if isinstance(column.parameter, Choice) else known.tolist()
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "visible": index == 0,
                "x": shown,
                "y": data.trials.loc[known.index, data.metric].round(5).tolist(),
                "text": [f"trial {trial}" for trial in data.trials.loc[known.index, "trial"]],
                "hovertemplate": f"%{{text}}<br>{column.name} %{{x}}: %{{y}}<extra></extra>",
                "marker": {"color": BOTH.cycle[0], "opacity": 0.7},
            }
        )
        change = {
            "xaxis.title.text": hyperparameter_label(column.name),
            "xaxis.type": "log" if column.log else "category" if isinstance(column.parameter, Choice) else "linear",
        }
        axes.append(change)
        visible = [other == index for other in range(len(data.columns))]
        buttons.append({"label": column.name, "method": "update", "args": [{"visible": visible}, change]})
    menu = {"buttons": buttons, "x": 0, "xanchor": "left", "y": 1.15, "yanchor": "bottom"}
    kind, title = axes[0]["xaxis.type"], axes[0]["xaxis.title.text"]
    x = {"type": kind, "title": {"text": title}, "automargin": True}
    margin = {"l": 60, "r": 20, "t": 60, "b": 50}
    return plotly_figure(
        traces, "", metric_label(data.metric), xaxis=x, updatemenus=[menu], showlegend=False, margin=margin
    )


PLOT = Plot(
    title="Quality by each hyperparameter",
    question="Which values do good trials have, and was the space wide enough?",
    group="mattered",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
    interactive=interactive,
)
