"""The best value of every architecture at every freeze depth, with how many trials that rests on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.heatmap import heatmap, name_cells
from thaw.analysis.plots.interactive import plotly_figure
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.plots.trials import finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import counted, number, shortened
from thaw.spaces import Choice, Int


@dataclass(frozen=True)
class Cells:
    """One row a cell that holds trials, best first: architecture, freeze_depth, best, trial, trials, to_the_end."""

    metric: str
    cells: pd.DataFrame
    depths: list[int]


def compute(run: RunData) -> Cells:
    trials = finished_trials(run)
    depth = run.space.parameters.get("freeze_depth")
    searched = set(depth.grid()) if isinstance(depth, Choice) or (isinstance(depth, Int) and not depth.log) else set()
    depths = sorted({int(value) for value in searched | set(trials["freeze_depth"])})
    if len(depths) == 1 and trials["architecture"].nunique() == 1:
        raise NotEnough("neither architecture nor freeze depth was varied")
    # Trials come best first, so the first row of a group is its best one.
    cells = trials.groupby(["architecture", "freeze_depth"], sort=False).agg(
        best=(run.metric, "first"),
        trial=("trial", "first"),
        trials=("trial", "size"),
        to_the_end=("status", lambda statuses: int((statuses != "pruned").sum())),
    )
    return Cells(run.metric, cells.reset_index(), depths)


def draw(data: Cells, theme: Theme) -> Figure:
    names = list(dict.fromkeys(data.cells["architecture"]))
    values = np.full((len(names), len(data.depths)), np.nan)
    words = [["no trial"] * len(data.depths) for _ in names]
    for cell in data.cells.to_dict("records"):
        row, column = names.index(cell["architecture"]), data.depths.index(cell["freeze_depth"])
        values[row, column] = cell["best"]
        words[row][column] = f"{number(cell['best'])}\nn = {cell['trials']:,}"
    figure = theme.figure(1.6 + 0.5 * len(names))
    axes = figure.subplots()
    heatmap(figure, axes, theme, values, words, f"best {data.metric}")
    name_cells(axes, [shortened(name) for name in names], [str(depth) for depth in data.depths])
    axes.set_xlabel("freeze depth (stages frozen; 0 trains everything, 5 the head alone); n: trials")
    return figure


def finding(data: Cells) -> str:
    best = data.cells.iloc[0]
    text = (
        f"{best['architecture']} at freeze depth {best['freeze_depth']} is best with {data.metric} "
        f"{number(best['best'])} ({counted(int(best['trials']), 'trial')} there)"
    )
    others = data.cells[
        (data.cells["architecture"] == best["architecture"]) & (data.cells["freeze_depth"] != best["freeze_depth"])
    ]
    if others.empty:
        return text + "."
    second = others.iloc[0]
    difference = abs(best["best"] - second["best"])
    return f"{text}; the next depth of that network, {second['freeze_depth']}, comes within {number(difference)}."


def table(data: Cells) -> pd.DataFrame:
    return data.cells.rename(columns={"best": f"best_{data.metric}", "trial": "best_trial"})


def interactive(data: Cells) -> dict[str, Any]:
    cells = data.cells
    grid = cells.pivot(index="architecture", columns="freeze_depth", values="best")
    counts = cells.pivot(index="architecture", columns="freeze_depth", values="trials").fillna(0).astype(int)
    trace = {
        "type": "heatmap",
        "x": [str(depth) for depth in grid.columns],
        "y": list(grid.index),
        "z": [[None if pd.isna(value) else round(value, 5) for value in row] for row in grid.to_numpy()],
        "text": [[counted(int(count), "trial") for count in row] for row in counts.to_numpy()],
        "hovertemplate": f"%{{y}}, freeze depth %{{x}}<br>best {data.metric} %{{z}}<br>%{{text}}<extra></extra>",
        "colorscale": "Viridis",
        "colorbar": {"title": {"text": f"best {data.metric}"}},
    }
    rows = {"automargin": True, "autorange": "reversed"}
    return plotly_figure([trace], "freeze depth (stages frozen)", "", yaxis=rows)


PLOT = Plot(
    title="Quality by architecture and freeze depth",
    question="How much of each network should be thawed?",
    group="thaw",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
    interactive=interactive,
)
