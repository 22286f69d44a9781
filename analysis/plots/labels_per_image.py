"""Images by their number of labels: the paper's figure 2."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from thaw.analysis.plots.axes import whole_numbers
from thaw.analysis.plots.facts import SPLITS, label_facts
from thaw.analysis.plots.label_distribution import COLOURS
from thaw.analysis.plots.plot import Plot
from thaw.analysis.plots.theme import SMALL, Theme
from thaw.analysis.run_data import RunData
from thaw.analysis.words import listed
from thaw.spaces.words import counted

BARS = 12
"""The number of bars up to which each shows its share."""


@dataclass(frozen=True)
class Sizes:
    """One row per number of labels, ascending: labels, train, validation, test, total, share (of all images)."""

    rows: pd.DataFrame


def compute(run: RunData) -> Sizes:
    facts = label_facts(run)
    sizes = sorted({size for counts in facts.per_image.values() for size in counts})
    rows = pd.DataFrame({"labels": sizes, **{s: [facts.per_image[s].get(size, 0) for size in sizes] for s in SPLITS}})
    rows["total"] = rows[list(SPLITS)].sum(axis=1)
    rows["share"] = rows["total"] / max(int(rows["total"].sum()), 1)
    return Sizes(rows)


def draw(data: Sizes, theme: Theme) -> Figure:
    figure = theme.figure(3.2)
    axes = figure.subplots()
    start = np.zeros(len(data.rows))
    for split in SPLITS:
        axes.bar(data.rows["labels"], data.rows[split], bottom=start, color=theme.cycle[COLOURS[split]], width=0.7)
        start = start + data.rows[split].to_numpy()
    if len(data.rows) <= BARS:
        for row in data.rows.to_dict("records"):
            axes.annotate(
                f"{row['share']:.1%}",
                (row["labels"], row["total"]),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                fontsize=SMALL,
            )
    axes.margins(y=0.12)
    axes.set_xlim(data.rows["labels"].min() - 0.6, data.rows["labels"].max() + 0.6)
    axes.grid(False, axis="x")
    whole_numbers(axes)
    whole_numbers(axes, "y")
    axes.set_xlabel("labels of an image (number)")
    axes.set_ylabel("images (number)")
    theme.legend(figure, [Patch(color=theme.cycle[COLOURS[split]], label=words) for split, words in SPLITS.items()])
    return figure


def finding(data: Sizes) -> str:
    rows = data.rows.sort_values("total", ascending=False).iloc[:3].sort_values("labels")
    parts = [f"{row['share']:.1%} have {counted(int(row['labels']), 'label')}" for row in rows.to_dict("records")]
    mean = (data.rows["labels"] * data.rows["share"]).sum()
    return (
        f"Of {counted(int(data.rows['total'].sum()), 'image')}, {listed(parts)}; the mean is {mean:.2f} labels per "
        "image."
    )


def table(data: Sizes) -> pd.DataFrame:
    return data.rows


PLOT = Plot(
    title="Images by their number of labels",
    question="How many labels does an image have?",
    group="labels",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
