"""One trial's accuracy and loss by epoch: the paper's figures 3 to 6 and 11 to 18, with its caption."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.axes import whole_numbers
from thaw.analysis.plots.paper import ACCURACY, FIRST_EPOCH, curves, summary
from thaw.analysis.plots.plot import Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.plots.trials import chosen_trial
from thaw.analysis.run_data import RunData
from thaw.analysis.words import number

LINES = {"train": ("training", "o", "--"), "val": ("validation", "s", "-")}


@dataclass(frozen=True)
class OneTrial:
    """A trial's `curves` and `summary` as in :mod:`thaw.analysis.plots.paper`; `metric` chose its best epoch."""

    trial: int
    architecture: str
    freeze_depth: int
    metric: str
    curves: pd.DataFrame
    summary: dict[str, float]

    @property
    def caption(self) -> str:
        """As printed by the paper's runs; its epochs count from 0."""
        best = self.summary
        epoch = int(best["epoch"]) - 1 + FIRST_EPOCH
        return (
            f"bestEpoch | bestAcc | bestValAcc : {epoch} | {best['train_accuracy']:.4f} | {best['val_accuracy']:.4f}\n"
            f"minTrainLoss | minValLoss : {best['min_train_loss']:.4f} | {best['min_val_loss']:.4f}"
        )

    @property
    def narrow_caption(self) -> str:
        """The same with each colon at the end of a line."""
        return self.caption.replace(": ", ":\n  ")


def compute(run: RunData, trial: int | None = None) -> OneTrial:
    number_ = chosen_trial(run, trial)
    config = run.records[number_].config
    return OneTrial(
        number_,
        config["architecture"],
        config["freeze_depth"],
        run.metric,
        curves(run, number_),
        summary(run, number_),
    )


def draw(data: OneTrial, theme: Theme) -> Figure:
    figure = theme.figure(4.8)
    top, bottom = figure.subplots(2, 1, sharex=True)
    handles = []
    for place, (split, (words, marker, style)) in enumerate(LINES.items()):
        look = {"color": theme.cycle[place], "marker": marker, "ls": style, "ms": 4, "lw": 1.6}
        handles += top.plot(data.curves["epoch"], data.curves[f"{split}_accuracy"], label=words, **look)
        bottom.plot(data.curves["epoch"], data.curves[f"{split}_loss"], **look)
    best = data.summary["epoch"]
    for axes in (top, bottom):
        mark = axes.axvline(best, color=theme.muted, ls=":", lw=1.4, label=f"best epoch by {data.metric}: {best:.0f}")
    top.set_title(data.narrow_caption if theme.is_narrow else data.caption, fontfamily="DejaVu Sans Mono", fontsize=8)
    top.set_ylabel(f"accuracy (0 to 1)\n{ACCURACY}")
    bottom.set_ylabel("loss (less is better)")
    bottom.set_xlabel("epoch (from 1; bestEpoch above counts from 0, as in the paper)")
    whole_numbers(bottom)
    theme.legend(figure, [*handles, mark])
    theme.title(figure, f"Trial {data.trial}: {data.architecture}, freeze depth {data.freeze_depth}")
    return figure


def finding(data: OneTrial) -> str:
    best, rows = data.summary, data.curves
    row = rows[rows["epoch"] == best["epoch"]].iloc[0]
    gap = abs(row["train_accuracy"] - row["val_accuracy"])
    return (
        f"Trial {data.trial} is best at epoch {best['epoch']:.0f} of {len(rows)}: accuracy "
        f"{number(best['train_accuracy'])} in training and {number(best['val_accuracy'])} in validation, {number(gap)} "
        f"apart; its smallest validation loss is {number(best['min_val_loss'])}."
    )


def table(data: OneTrial) -> pd.DataFrame:
    return data.curves


PLOT = Plot(
    title="The best trial by epoch",
    question="How did this trial learn, and when was it best?",
    group="paper",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
