"""The best value of every architecture at every freeze depth, at equal epochs, with the number of trials behind it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.equal_epochs import named, open_rivals, standings
from thaw.analysis.plots.heatmap import heatmap, name_cells
from thaw.analysis.plots.interactive import COLORSCALE, plotly_figure
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.plots.trials import finished_trials
from thaw.analysis.run_data import RunData
from thaw.analysis.words import number, shortened
from thaw.spaces import Choice, Int
from thaw.spaces.words import counted


@dataclass(frozen=True)
class Cells:
    """One row per cell that has trials, best observed value first.

    The columns are architecture, freeze_depth, and best, trial, could, trials, whole, stopped_by of
    :class:`thaw.analysis.equal_epochs.Standing`. `open`: the cells that could hold a better value, in words.
    """

    metric: str
    cells: pd.DataFrame
    depths: list[int]
    open: list[str]


def compute(run: RunData) -> Cells:
    trials = finished_trials(run)
    depth = run.space.parameters.get("freeze_depth")
    searched = set(depth.grid()) if isinstance(depth, Choice) or (isinstance(depth, Int) and not depth.log) else set()
    depths = sorted({int(value) for value in searched | set(trials["freeze_depth"])})
    if len(depths) == 1 and trials["architecture"].nunique() == 1:
        raise NotEnough("neither architecture nor freeze depth was varied")
    best, *others = standings(run, trials, ["architecture", "freeze_depth"])
    cells = pd.DataFrame([asdict(cell) for cell in (best, *others)])
    cells[["architecture", "freeze_depth"]] = cells.pop("key").tolist()
    rivals = [f"{cell.key[0]} at depth {cell.key[1]} ({cell.stopped})" for cell in open_rivals(run, best, others)]
    names = ["architecture", "freeze_depth", "best", "trial", "could", "trials", "whole", "stopped_by"]
    return Cells(run.metric, cells[names], depths, rivals)


def draw(data: Cells, theme: Theme) -> Figure:
    names = list(dict.fromkeys(data.cells["architecture"]))
    values = np.full((len(names), len(data.depths)), np.nan)
    words = [["no trial"] * len(data.depths) for _ in names]
    for cell in data.cells.to_dict("records"):
        row, column = names.index(cell["architecture"]), data.depths.index(cell["freeze_depth"])
        words[row][column] = f"{number(cell['best'])}\nn = {cell['trials']:,}"
        if cell["whole"]:
            values[row, column] = cell["best"]
        else:
            words[row][column] += f"\nstopped by {cell['stopped_by']}"
    rows, columns = [shortened(name) for name in names], [str(depth) for depth in data.depths]
    if theme.is_narrow:
        # There are usually fewer networks than the six depths.
        values, words = values.T, [list(line) for line in zip(*words, strict=True)]
        rows, columns = columns, [name.replace("_", "_\n") for name in rows]
    figure = theme.figure(1.6 + 0.56 * len(rows))
    axes = figure.subplots()
    heatmap(figure, axes, theme, values, words, f"best {data.metric}")
    name_cells(axes, rows, columns)
    title = "freeze depth (stages frozen; 0 trains everything, 5 the head alone); n: trials"
    (axes.set_ylabel if theme.is_narrow else axes.set_xlabel)(title)
    if not data.cells["whole"].all():
        axes.set_title("without a colour: every trial was stopped by that epoch, its outcome is unknown", wrap=True)
    return figure


def finding(data: Cells) -> str:
    best = data.cells.iloc[0]
    place = f"{best['architecture']} at freeze depth {best['freeze_depth']}"
    behind = f"({counted(int(best['trials']), 'trial')})"
    if data.open:
        seen = f"The best observed {data.metric} is {number(best['best'])}, for {place} {behind}"
        return f"{seen}; the true best is unknown, because trials were stopped that could have done better: " + (
            f"{named(data.open)}."
        )
    text = f"{place} is best with {data.metric} {number(best['best'])} {behind}"
    others = data.cells[
        (data.cells["architecture"] == best["architecture"]) & (data.cells["freeze_depth"] != best["freeze_depth"])
    ]
    if others.empty:
        return text + "."
    second = others.iloc[0]
    difference = abs(best["best"] - second["best"])
    return f"{text}; the next best depth of that network, {second['freeze_depth']}, comes within {number(difference)}."


def table(data: Cells) -> pd.DataFrame:
    return data.cells.rename(columns={"best": f"best_{data.metric}", "trial": "best_trial"})


def interactive(data: Cells) -> dict[str, Any]:
    cells = data.cells
    known = cells.assign(best=cells["best"].where(cells["whole"] > 0))
    grid = known.pivot(index="architecture", columns="freeze_depth", values="best")
    counts = cells.pivot(index="architecture", columns="freeze_depth", values="trials").fillna(0).astype(int)
    trace = {
        "type": "heatmap",
        "x": [str(depth) for depth in grid.columns],
        "y": list(grid.index),
        "z": [[None if pd.isna(value) else round(value, 5) for value in row] for row in grid.to_numpy()],
        "customdata": counts.to_numpy().tolist(),
        "hovertemplate": f"%{{y}}, depth %{{x}}<br>best {data.metric} %{{z}}<br>trials: %{{customdata}}<extra></extra>",
        "texttemplate": "%{z:.3f}<br>n = %{customdata}",
        "colorscale": COLORSCALE,
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
