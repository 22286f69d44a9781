"""Images with each label: the paper's figure 1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from thaw.analysis.plots.axes import logarithmic, whole_numbers
from thaw.analysis.plots.facts import SPLITS, LabelFacts, label_facts
from thaw.analysis.plots.plot import Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.run_data import RunData
from thaw.analysis.words import number, shortened
from thaw.spaces.words import counted

NAMED = 40
"""The number of labels up to which each has a named bar."""
COLOURS = {"train": 0, "validation": 1, "test": 2}


@dataclass(frozen=True)
class Support:
    """One row per label, most frequent first: label, train, validation, test, total, share (of all images)."""

    rows: pd.DataFrame
    images: int


def compute(run: RunData) -> Support:
    return from_facts(label_facts(run))


def from_facts(facts: LabelFacts) -> Support:
    rows = pd.DataFrame({"label": facts.classes, **facts.counts, "total": facts.support})
    rows["share"] = rows["total"] / max(facts.total, 1)
    return Support(rows.sort_values("total", ascending=False, kind="stable", ignore_index=True), facts.total)


def draw(data: Support, theme: Theme) -> Figure:
    if len(data.rows) > NAMED:
        return _ranks(data, theme)
    figure = theme.figure(1.1 + 0.19 * len(data.rows))
    axes = figure.subplots()
    places = np.arange(len(data.rows))
    start = np.zeros(len(data.rows))
    for split in SPLITS:
        axes.barh(places, data.rows[split], left=start, color=theme.cycle[COLOURS[split]], height=0.75)
        start = start + data.rows[split].to_numpy()
    axes.set_yticks(places, [shortened(name) for name in data.rows["label"]])
    axes.set_ylim(len(places) - 0.4, -0.6)
    axes.grid(False, axis="y")
    whole_numbers(axes)
    axes.set_xlabel("images with the label (number)")
    axes.set_ylabel("label")
    _legend(figure, theme)
    return figure


def _ranks(data: Support, theme: Theme) -> Figure:
    figure = theme.figure(3.2)
    axes = figure.subplots()
    ranks = np.arange(1, len(data.rows) + 1)
    for split in SPLITS:
        axes.plot(ranks, data.rows[split].clip(lower=0.5), color=theme.cycle[COLOURS[split]], lw=1.4)
    logarithmic(axes, "y", 0.5, max(1, int(data.rows[list(SPLITS)].max().max())))
    axes.set_xlabel(f"label by rank (1: {shortened(data.rows['label'].iloc[0])})")
    axes.set_ylabel("images with the label (number)")
    _legend(figure, theme)
    return figure


def _legend(figure: Figure, theme: Theme) -> None:
    theme.legend(figure, [Patch(color=theme.cycle[COLOURS[split]], label=words) for split, words in SPLITS.items()])


def finding(data: Support) -> str:
    most, least = data.rows.iloc[0], data.rows.iloc[-1]
    ratio = f", {number(most['total'] / least['total'])} times fewer" if least["total"] else ""
    return (
        f"Of {counted(len(data.rows), 'label')} on {counted(data.images, 'image')}, {most['label']!r} is the most "
        f"frequent ({counted(most['total'], 'image')}, {most['share']:.0%}) and {least['label']!r} the rarest "
        f"({least['total']:,}{ratio})."
    )


def table(data: Support) -> pd.DataFrame:
    return data.rows


PLOT = Plot(
    title="Images with each label",
    question="How uneven are the labels?",
    group="labels",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
