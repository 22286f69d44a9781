"""A heat map with text in every cell, for plots of two factors."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from thaw.analysis.plots.theme import SMALL, Theme

DARK_ENOUGH = 0.45
"""The relative luminance below which white text is easier to read than black."""


def heatmap(figure: Figure, axes: Axes, theme: Theme, values: np.ndarray, words: list[list[str]], bar: str) -> None:
    """Draw cells from the top row down.

    Args:
        values: (rows, columns); NaN where there is nothing to show.
        words: the text of each cell; empty to show the colour alone.
        bar: title of the colour bar.
    """
    scale = colour_scale(values[np.isfinite(values)])
    mesh = axes.pcolormesh(np.ma.masked_invalid(values), cmap=theme.colours, norm=scale, edgecolors=theme.background)
    axes.set_ylim(len(values), 0)
    axes.grid(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)
    axes.tick_params(length=0)
    for row, line in enumerate(words):
        for column, word in enumerate(line):
            shown = np.isfinite(values[row, column])
            ink = _ink(theme.shade(scale(values[row, column]))) if shown else theme.muted
            axes.text(column + 0.5, row + 0.5, word, ha="center", va="center", fontsize=SMALL, color=ink)
    colour_bar = figure.colorbar(mesh, ax=axes, fraction=0.05, aspect=30)
    colour_bar.set_label(bar)
    colour_bar.outline.set_visible(False)


def colour_scale(values: np.ndarray) -> Normalize:
    """From the smallest to the largest value; around a single value, a range with readable ticks."""
    low, high = float(values.min()), float(values.max())
    margin = 0.0 if high > low else max(abs(low) * 0.1, 0.01)
    return Normalize(low - margin, high + margin)


def _ink(colour: tuple[float, float, float, float]) -> str:
    red, green, blue = colour[:3]
    return "#ffffff" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < DARK_ENOUGH else "#111111"


def name_cells(axes: Axes, rows: list[str], columns: list[str], rotation: float = 0.0) -> None:
    """Names next to the rows and below the columns."""
    axes.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axes.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=rotation)
