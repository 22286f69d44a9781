"""Axis formatting shared by several plots."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from thaw.analysis.words import metric_label, number
from thaw.spaces import metric

WIDE = 20
"""The ratio of the largest to the smallest value above which an unbounded scale becomes logarithmic."""


def whole_numbers(axes: Axes, which: str = "x") -> None:
    """Place ticks at whole numbers only: epochs, trials, stages."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(nbins=8, integer=True, min_n_ticks=1))
    axis.set_major_formatter(FuncFormatter(lambda tick, _: f"{tick:,.0f}"))


def metric_axis(axes: Axes, column: str, values: Sequence[float] | np.ndarray) -> None:
    """Format the y axis of a metric: with a title, and logarithmic for a loss that spans more than a factor of 20."""
    axes.set_ylabel(metric_label(column).replace(" (", "\n("))
    shown = np.asarray(values, dtype=float)
    shown = shown[np.isfinite(shown) & (shown > 0)]
    if math.isinf(metric(column).high) and len(shown) and shown.max() / shown.min() > WIDE:
        logarithmic(axes, "y", float(shown.min()), float(shown.max()))


def logarithmic(axes: Axes, which: str, low: float, high: float) -> None:
    """Format a logarithmic axis from `low` to `high` with a few plain numbers, even over less than a decade."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    (axes.set_xscale if which == "x" else axes.set_yscale)("log")
    decades = math.log10(high / low) if high > low else 0.0
    if decades < 0.5:
        low, high = low / 1.2, high * 1.2
        axis.set_major_locator(MaxNLocator(nbins=3))
    elif decades < 2:
        axis.set_major_locator(LogLocator(subs=(1, 2, 5), numticks=8))
    axis.set_minor_locator(NullLocator())
    (axes.set_xlim if which == "x" else axes.set_ylim)(low * 0.85, high / 0.85)
    axis.set_major_formatter(FuncFormatter(lambda tick, _: number(float(tick))))
