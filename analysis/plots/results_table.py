"""Accuracies and losses of several trials in one table: the paper's table 1, with the losses of its captions."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.paper import ACCURACY, SHORT, some_trials, summary
from thaw.analysis.plots.plot import Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.run_data import RunData
from thaw.analysis.words import counted, number, shortened, value

ROWS = 12
ALWAYS = ("architecture", "freeze_depth", "learning_rate", "weight_decay")
"""Hyperparameters in which the paper's runs differ; others that vary are shown, too, while there is room."""
HYPERPARAMETERS = 6
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
    heads = ["trial", *(SHORT.get(name, name).replace("_", "\n") for name in data.hyperparameters), *RESULTS.values()]
    lines = [
        [
            str(row["trial"]),
            *(shortened(value(row[name]), 20) for name in data.hyperparameters),
            str(row["epoch"]),
            *(f"{row[name]:.4f}" for name in list(RESULTS)[1:]),
        ]
        for row in data.rows.to_dict("records")
    ]
    # A column is as wide as its longest text, in characters, plus a gap of two.
    widths = [
        2 + max(len(part) for text in (head, *(line[place] for line in lines)) for part in text.split("\n"))
        for place, head in enumerate(heads)
    ]
    figure = theme.figure(0.95 + 0.24 * len(lines), max(6.4, 0.085 * sum(widths)))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_xlim(0, sum(widths))
    axes.set_ylim(len(lines), -1.6)
    for row, line in enumerate([heads, *lines], -1):
        for place, text in enumerate(line):
            left = place == 1
            right_edge = sum(widths[: place + 1]) - 1
            axes.text(
                sum(widths[:place]) + 1 if left else right_edge,
                row + 0.5 if row >= 0 else -0.7,
                text,
                ha="left" if left else "right",
                va="center",
                fontsize=8,
                fontweight="bold" if row in (-1, data.best) else "normal",
                linespacing=1.0,
            )
    for height in (-1.5, 0.0, float(len(lines))):
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
    question="How do the runs compare in the paper's own figures?",
    group="paper",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
