"""Accuracies and losses of several trials in one table: the paper's table 1, with the losses of its captions."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate, chain
from textwrap import wrap
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.paper import ACCURACY, some_trials, summary
from thaw.analysis.plots.plot import Plot
from thaw.analysis.plots.theme import AXIS_TEXT, CHARACTER, Theme
from thaw.analysis.run_data import RunData
from thaw.analysis.words import number, shortened, value
from thaw.spaces.short_forms import head
from thaw.spaces.words import counted

ROWS = 12
ALWAYS = ("architecture", "freeze_depth", "learning_rate", "weight_decay")
"""Hyperparameters in which the paper's runs differ; others that vary follow as far as there is room."""
HYPERPARAMETERS = 6
NOTE = 0.72
"""The height of a line of words below a row, in rows."""
RESULTS = {
    "epoch": "best\nepoch",
    "train_accuracy": "train\nacc.",
    "val_accuracy": "val.\nacc.",
    "min_train_loss": "min train\nloss",
    "min_val_loss": "min val.\nloss",
}


@dataclass(frozen=True)
class Results:
    """Rows trial, hyperparameters, and the columns of :func:`thaw.analysis.plots.paper.summary`, epochs from 1."""

    metric: str
    rows: pd.DataFrame
    hyperparameters: list[str]

    @property
    def best(self) -> int:
        """The row with the best validation accuracy."""
        return int(self.rows["val_accuracy"].to_numpy().argmax())


def compute(run: RunData, trials: list[int] | None = None) -> Results:
    chosen = some_trials(run, trials, ROWS)
    configs = pd.DataFrame([run.records[trial].config for trial in chosen])
    more = [name for name in run.space.parameters if name not in ALWAYS and configs[name].nunique() > 1]
    columns = [*ALWAYS, *more][:HYPERPARAMETERS]
    results = pd.DataFrame([summary(run, trial) for trial in chosen])
    rows = pd.concat([pd.Series(chosen, name="trial"), configs[columns], results], axis=1)
    return Results(run.metric, rows.astype({"epoch": int}), columns)


def draw(data: Results, theme: Theme) -> Figure:
    results = list(RESULTS)
    rows = data.rows.to_dict("records")
    figures = [[str(row["epoch"]), *(f"{row[name]:.4f}" for name in results[1:])] for row in rows]
    configs = [[shortened(value(row[name]), 20) for name in data.hyperparameters] for row in rows]
    numbers = [str(row["trial"]) for row in rows]
    if theme.is_narrow:
        notes = [_configuration(data.hyperparameters, config, theme) for config in configs]
        return _table(theme, ["trial", *RESULTS.values()], _beside(numbers, figures), data.best, notes)
    heads = ["trial", *(head(name).replace("_", "\n") for name in data.hyperparameters), *RESULTS.values()]
    return _table(theme, heads, _beside(numbers, configs, figures), data.best)


def _beside(numbers: list[str], *parts: list[list[str]]) -> list[list[str]]:
    """Rows that begin with a number."""
    return [[number, *chain.from_iterable(cells)] for number, *cells in zip(numbers, *parts, strict=True)]


def _configuration(names: list[str], config: list[str], theme: Theme) -> list[str]:
    """Hyperparameters with their values, wrapped to the figure's width."""
    text = ", ".join(
        cell if name == "architecture" else f"{head(name)}\u00a0{cell}"
        for name, cell in zip(names, config, strict=True)
    )
    return wrap(text, int(theme.width / CHARACTER))


def _table(
    theme: Theme, heads: list[str], lines: list[list[str]], best: int, notes: list[list[str]] | None = None
) -> Figure:
    """Cells in columns.

    Args:
        theme: of the figure.
        heads: of the columns.
        lines: rows of cells.
        best: the row in bold.
        notes: lines of words below each row.
    """
    # A column is as wide as its longest text, in characters, plus a gap of two.
    widths = [
        2 + max(len(part) for text in (title, *(line[place] for line in lines)) for part in text.split("\n"))
        for place, title in enumerate(heads)
    ]
    notes = notes or [[] for _ in lines]
    tops = [0.0, *accumulate(1 + NOTE * len(words) for words in notes)]
    width = theme.width if theme.is_narrow else max(theme.width, 0.085 * sum(widths))
    figure = theme.figure(0.95 + 0.24 * tops[-1], width)
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, sum(widths))
    axes.set_ylim(tops[-1], -1.6)
    look: dict[str, Any] = {"va": "center", "fontsize": AXIS_TEXT, "linespacing": 1.0}
    for row, line in enumerate([heads, *lines], -1):
        weight = "bold" if row in (-1, best) else "normal"
        height = tops[row] + 0.5 if row >= 0 else -0.7
        for place, text in enumerate(line):
            left = place == 1 and not theme.is_narrow
            right_edge = sum(widths[: place + 1]) - 1
            at = sum(widths[:place]) + 1 if left else right_edge
            axes.text(at, height, text, ha="left" if left else "right", fontweight=weight, **look)
        for below, words in enumerate(notes[row] if row >= 0 else [], 1):
            axes.text(1, height + NOTE * below, words, color=theme.text, fontweight=weight, **look)
        if row > 0 and theme.is_narrow:
            axes.axhline(tops[row], color=theme.grid, lw=0.8)
    for height in (-1.5, 0.0, float(tops[-1])):
        axes.axhline(height, color=theme.text, lw=0.8)
    return figure


def finding(data: Results) -> str:
    best = data.rows.iloc[data.best]
    return (
        f"Of {counted(len(data.rows), 'trial')}, each at its best epoch (from 1, by {data.metric}), trial "
        f"{best['trial']} ({best['architecture']}) has the best validation accuracy as the paper defines it, "
        f"{ACCURACY} {number(best['val_accuracy'])}."
    )


def table(data: Results) -> pd.DataFrame:
    return data.rows


PLOT = Plot(
    title="Accuracies and losses of the best trials",
    question="How do the trials compare by the paper's measures?",
    group="paper",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
