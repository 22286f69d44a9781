"""Every finished trial as a line through its hyperparameters, coloured by quality if it was trained to the end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from thaw.analysis.plots.heatmap import colour_scale
from thaw.analysis.plots.interactive import COLORSCALE, plotly_figure
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.searched import Searched, searched
from thaw.analysis.plots.theme import SMALL, WIDTH, Theme
from thaw.analysis.plots.trials import finished_trials, thinned
from thaw.analysis.run_data import RunData
from thaw.analysis.words import listed, shortened, value
from thaw.spaces import Choice, Int, metric
from thaw.spaces.short_forms import LONGEST, network_names
from thaw.spaces.words import counted

LIMIT, NARROW_LIMIT = 300, 150
"""The number of lines up to which individual ones remain visible, in a wide and in a narrow figure."""
UNUSED = -0.12
"""Where a line crosses the axis of a hyperparameter that is inactive in its trial."""
AXES_AT_MOST = 9
NARROW_AXES = 3
"""Axes side by side in a narrow figure."""


@dataclass(frozen=True)
class Lines:
    """Finished trials, best first, with their quality, and their searched hyperparameters."""

    metric: str
    trials: pd.DataFrame
    columns: list[Searched]

    @property
    def places(self) -> np.ndarray:
        """(trials, hyperparameters), 0 to 1, or UNUSED."""
        return np.column_stack([np.nan_to_num(column.places(), nan=UNUSED) for column in self.columns])


def compute(run: RunData) -> Lines:
    trials = finished_trials(run)
    columns = searched(run, trials)
    if len(columns) < 2:
        raise NotEnough("only one hyperparameter varies among the finished trials")
    return Lines(run.metric, trials[["trial", "status", run.metric]], columns[:AXES_AT_MOST])


def draw(data: Lines, theme: Theme) -> Figure:
    rows = thinned(data.trials, NARROW_LIMIT if theme.is_narrow else LIMIT)
    # The best trials last, on top of the others.
    order = rows.index.to_numpy()[::-1]
    quality = data.trials[data.metric].to_numpy()[order]
    whole = (data.trials["status"] != "pruned").to_numpy()[order]
    colours = theme.colours if metric(data.metric).maximize else theme.colours.reversed()
    scale = colour_scale(quality[whole] if whole.any() else quality)
    panels = _panels(len(data.columns), theme)
    # Beyond six axes the plot grows wider, so that labels fit between neighbouring axes.
    width = theme.width if theme.is_narrow else WIDTH * max(1.0, len(data.columns) / 6)
    figure = theme.figure(3.8 if len(panels) == 1 else 1.2 + 2.1 * len(panels), width)
    grid = figure.subplots(len(panels), 1, squeeze=False)[:, 0]
    for axes, panel in zip(grid, panels, strict=True):
        across = np.array(panel)
        lines = np.stack([np.broadcast_to(across, (len(order), len(panel))), data.places[order][:, across]], axis=-1)
        axes.add_collection(LineCollection(lines[~whole], colors=theme.muted, lw=0.5, ls=":", alpha=0.5))
        axes.add_collection(
            LineCollection(lines[whole], array=quality[whole], cmap=colours, norm=scale, lw=1.0, alpha=0.75)
        )
        axes.plot(across, data.places[0][across], color=theme.cycle[1], lw=2)
        _frame(axes, data, panel, theme)
    grid[-1].set_xlabel("searched hyperparameter; – : inactive in the trial")
    place = {"location": "bottom", "fraction": 0.04} if theme.is_narrow else {"fraction": 0.04}
    bar = figure.colorbar(ScalarMappable(scale, colours), ax=list(grid), aspect=30, **place)
    bar.set_label(data.metric)
    bar.outline.set_visible(False)
    best = f"orange: the best, trial {data.trials['trial'].iloc[0]}"
    drawn = f"{len(rows):,} of {counted(len(data.trials), 'trial')}" if len(rows) < len(data.trials) else ""
    dotted = "" if whole.all() else "dotted: stopped early"
    grid[0].set_title(theme.lines("; ".join(part for part in (best, dotted, drawn) if part)))
    return figure


def _panels(columns: int, theme: Theme) -> list[range]:
    """The axes side by side; a narrow figure has rows of them, each beginning with the last axis of the one above."""
    if not theme.is_narrow:
        return [range(columns)]
    return [range(first, min(columns, first + NARROW_AXES)) for first in range(0, columns - 1, NARROW_AXES - 1)]


def _frame(axes: Axes, data: Lines, panel: range, theme: Theme) -> None:
    """Axes with the names and values of their hyperparameters."""
    columns = [data.columns[place] for place in panel]
    for place, column in zip(panel, columns, strict=True):
        axes.axvline(place, color=theme.muted, lw=0.8)
        left = place == 0 and not theme.is_narrow
        for height, word in _marks(column):
            axes.annotate(
                word,
                (place, height),
                xytext=(-4 if left else 3, 0),
                textcoords="offset points",
                ha="right" if left else "left",
                va="center",
                fontsize=SMALL,
                bbox={"facecolor": theme.background, "edgecolor": "none", "alpha": 0.85, "pad": 0.5},
            )
    axes.grid(False)
    if theme.is_narrow:
        axes.set_xlim(panel[0] - 0.05, panel[0] + NARROW_AXES)
    else:
        axes.set_xlim(-0.15, len(columns) - 1 + 0.55)
    axes.set_ylim(UNUSED - 0.08, 1.06)
    # Names are broken over two lines, so that neighbours do not overlap.
    names = [column.name.replace("_", "\n", 1) for column in columns]
    axes.set_xticks(list(panel), names, fontsize=SMALL, ha="left" if theme.is_narrow else "center")
    axes.set_yticks([])
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _marks(column: Searched) -> list[tuple[float, str]]:
    """Heights and labels along one axis: every category, or the ends and the middle of a range."""
    if isinstance(column.parameter, Choice):
        items = list(column.parameter.values)[:14]
        words = [value(item) for item in items]
        short = network_names(words) if column.name == "architecture" else {}
        marks = [
            (column.place(item), shortened(short.get(word, word), LONGEST))
            for item, word in zip(items, words, strict=True)
        ]
    elif isinstance(column.parameter, Int) and column.parameter.high - column.parameter.low < 10 and not column.log:
        marks = [(column.place(item), str(item)) for item in column.parameter.grid()]
    else:
        low, high = column.parameter.low, column.parameter.high
        middle = (low * high) ** 0.5 if column.log else (low + high) / 2
        marks = [(column.place(item), value(item)) for item in (low, middle, high)]
    return marks + ([(UNUSED, "–")] if column.values.isna().any() else [])


def finding(data: Lines) -> str:
    whole = (data.trials["status"] != "pruned").to_numpy()
    top = max(1, whole.sum() // 10)
    same = [
        f"{column.name} {value(column.values[whole].iloc[0])}"
        for column in data.columns
        if isinstance(column.parameter, Choice) and column.values[whole].iloc[:top].nunique(dropna=False) == 1
    ]
    best = [
        f"{column.name} {value(column.values.iloc[0])}" for column in data.columns if pd.notna(column.values.iloc[0])
    ]
    text = f"The best of {counted(len(data.trials), 'finished trial')} has {listed(best)}"
    if top == 1 or not same:
        return text + "."
    return f"{text}; the best tenth of those trained to the end share {listed(same)}."


def table(data: Lines) -> pd.DataFrame:
    return data.trials.assign(**{column.name: column.values for column in data.columns})


def interactive(data: Lines) -> dict[str, Any]:
    rows = slice(0, 2000)
    dimensions = []
    for column, heights in zip(data.columns, data.places.T, strict=True):
        marks = _marks(column)
        dimensions.append(
            {
                "label": column.name,
                "values": heights[rows].round(4).tolist(),
                "range": [UNUSED, 1],
                "tickvals": [height for height, _ in marks],
                "ticktext": [word for _, word in marks],
            }
        )
    quality = data.trials[data.metric].iloc[rows].round(5).tolist()
    dimensions.append({"label": data.metric, "values": quality})
    line = {"color": quality, "colorscale": COLORSCALE, "reversescale": not metric(data.metric).maximize}
    # Room for the names of categories to the left of the first axis.
    margin = {"l": 130, "r": 60, "t": 50, "b": 30}
    return plotly_figure([{"type": "parcoords", "dimensions": dimensions, "line": line}], "", "", margin=margin)


PLOT = Plot(
    title="All trials through their hyperparameters",
    question="Which combinations do good trials share?",
    group="mattered",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
    interactive=interactive,
)
