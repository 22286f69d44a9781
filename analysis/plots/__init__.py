"""All plots of a run, one file each. A new one is its file and a line here."""

from __future__ import annotations

from typing import Any

from analysis.plots import freeze_depth, learning_curves
from analysis.plots.plot import NotEnough, Plot
from analysis.plots.theme import DARK, LIGHT, THEMES, Theme

__all__ = ["DARK", "GROUPS", "LIGHT", "PLOTS", "THEMES", "NotEnough", "Plot", "Theme"]

GROUPS = {
    "thaw": "How much to thaw",
    "mattered": "What mattered",
    "cost": "What it costs",
    "search": "How the search went",
    "labels": "The data and its labels",
    "paper": "The pictures of Yue, Tan and Li (2019)",
}
"""Headings of a report, in its order."""

PLOTS: dict[str, Plot[Any]] = {
    "freeze_depth": freeze_depth.PLOT,
    "learning_curves": learning_curves.PLOT,
}
"""Name → plot, in the order of a report."""
