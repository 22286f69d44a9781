"""Several trials compared by training and validation accuracy and loss, one plot each: the paper's figures 7 to 10."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.axes import metric_axis, whole_numbers
from thaw.analysis.plots.paper import ACCURACY, curves, names, some_trials
from thaw.analysis.plots.plot import Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.plots.trials import best_first
from thaw.analysis.run_data import RunData
from thaw.analysis.words import number
from thaw.spaces import metric
from thaw.spaces.words import counted

MARKERS = "os^DvP"


@dataclass(frozen=True)
class Comparison:
    """Rows trial, epoch, value; what is compared, in words, and its column; each trial's name."""

    words: str
    column: str
    rows: pd.DataFrame
    names: dict[int, str]


def comparison(words: str, curve: str) -> Plot[Comparison]:
    """The plot of one of the four columns of :func:`thaw.analysis.plots.paper.curves`."""
    column = curve.replace("accuracy", ACCURACY)

    def compute(run: RunData, trials: list[int] | None = None) -> Comparison:
        chosen = some_trials(run, trials)
        parts = [curves(run, trial).rename(columns={curve: "value"}).assign(trial=trial) for trial in chosen]
        return Comparison(words, column, pd.concat(parts)[["trial", "epoch", "value"]], names(run, chosen))

    return Plot(
        title=f"Comparison: {words}",
        question=f"Which trial has the best {words}, and how did it get there?",
        group="paper",
        compute=compute,
        draw=draw,
        finding=finding,
        table=table,
    )


def draw(data: Comparison, theme: Theme) -> Figure:
    figure = theme.figure(3.0 + 0.19 * len(data.names))
    axes = figure.subplots()
    handles = []
    for place, (trial, name) in enumerate(data.names.items()):
        rows = data.rows[data.rows["trial"] == trial]
        # Beyond six trials, colours repeat with another line style.
        turn, colour = divmod(place, len(theme.cycle))
        style = ("-", "--", ":", "-.")[turn % 4]
        look: dict[str, Any] = {
            "color": theme.cycle[colour],
            "marker": MARKERS[colour],
            "ls": style,
            "ms": 4,
            "lw": 1.6,
        }
        handles += axes.plot(rows["epoch"], rows["value"], label=name, **look)
    axes.set_xlabel("epoch")
    whole_numbers(axes)
    metric_axis(axes, data.column, data.rows["value"].to_numpy())
    theme.legend(figure, handles)
    return figure


def finding(data: Comparison) -> str:
    best = best_first(data.rows, data.column, "value").iloc[0]
    extreme = "highest" if metric(data.column).maximize else "lowest"
    return (
        f"Of {counted(len(data.names), 'trial')}, trial {best['trial']:.0f} has the {extreme} {data.words}, "
        f"{number(best['value'])} at epoch {best['epoch']:.0f}."
    )


def table(data: Comparison) -> pd.DataFrame:
    """One row per epoch, one column per trial."""
    return data.rows.pivot(index="epoch", columns="trial", values="value").rename(columns=data.names).reset_index()


TRAINING_ACCURACY = comparison("training accuracy", "train_accuracy")
VALIDATION_ACCURACY = comparison("validation accuracy", "val_accuracy")
TRAINING_LOSS = comparison("training loss", "train_loss")
VALIDATION_LOSS = comparison("validation loss", "val_loss")
