"""Label co-occurrence: the share of images with one label that also have another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.facts import label_facts
from thaw.analysis.plots.heatmap import heatmap, name_cells
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import Theme
from thaw.analysis.run_data import RunData
from thaw.analysis.words import shortened
from thaw.spaces.words import counted

NAMED = 30
"""The number of labels drawn, the most frequent ones."""
LETTERED = 12
"""The number of labels up to which each cell shows its percentage."""


@dataclass(frozen=True)
class Together:
    """Labels by frequency, their number of images, and pairs.

    Args:
        both: (L, L) images with both labels; NaN on the diagonal.
        shares: (L, L) of the images with the row's label, the share that also has the column's.
    """

    labels: list[str]
    support: np.ndarray
    both: np.ndarray
    shares: np.ndarray


def compute(run: RunData) -> Together:
    facts = label_facts(run)
    order = np.argsort(-facts.support, kind="stable")
    both = facts.cooccurrence[np.ix_(order, order)].astype(float)
    np.fill_diagonal(both, np.nan)
    if not np.nansum(both):
        raise NotEnough("no image has two labels")
    support = facts.support[order]
    shares = both / np.maximum(support, 1)[:, None]
    return Together([facts.classes[index] for index in order], support, both, shares)


def draw(data: Together, theme: Theme) -> Figure:
    shown = min(len(data.labels), NAMED)
    shares = data.shares[:shown, :shown]
    lettered = shown <= LETTERED
    # In the cells of a narrow figure, percent signs would not fit.
    unit, sign, bar = (100, "", "% of the row's images") if theme.is_narrow else (1, "%", "share of the row's images")
    words = [[f"{100 * share:.0f}{sign}" if lettered and np.isfinite(share) else "" for share in row] for row in shares]
    names_height = 2.7 if theme.is_narrow else 2.0
    figure = theme.figure(names_height + (0.26 * shown if lettered else 0.3 + 0.17 * shown))
    axes = figure.subplots()
    heatmap(figure, axes, theme, unit * shares, words, bar)
    names = [shortened(name, 14 if theme.is_narrow else 20) for name in data.labels[:shown]]
    name_cells(axes, names, names, rotation=90)
    axes.set_xlabel("… also have this label" + (f" (the {shown} most frequent)" if shown < len(data.labels) else ""))
    axes.set_ylabel("images with this label …")
    return figure


def finding(data: Together) -> str:
    a, b = np.unravel_index(np.nanargmax(data.shares), data.shares.shape)
    images = counted(int(data.support[a]), "image")
    return (
        f"{data.shares[a, b]:.0%} of {images} with {data.labels[a]!r} also have {data.labels[b]!r}, the closest pair."
    )


def table(data: Together) -> pd.DataFrame:
    """Pairs that occur, most frequent first."""
    rows, columns = np.nonzero(np.nan_to_num(np.triu(data.both, 1)))
    pairs = pd.DataFrame(
        {
            "label": [data.labels[index] for index in rows],
            "with": [data.labels[index] for index in columns],
            "images": data.both[rows, columns].astype(int),
            "share_of_label": data.shares[rows, columns],
            "share_of_with": data.shares[columns, rows],
        }
    )
    return pairs.sort_values("images", ascending=False, kind="stable", ignore_index=True)


PLOT = Plot(
    title="Labels that occur together",
    question="Which labels tend to occur together?",
    group="labels",
    compute=compute,
    draw=draw,
    finding=finding,
    table=table,
)
