"""All plots of a run, one file each. To add one, write its file and add a line here."""

from __future__ import annotations

from typing import Any

from thaw.analysis.plots import (
    best_so_far,
    comparison,
    cooccurrence,
    cost_to_quality,
    depth_curves,
    depth_learning_rate,
    freeze_depth,
    frozen_tuned,
    importance,
    label_distribution,
    label_quality,
    labels_per_image,
    learning_curves,
    parallel_coordinates,
    pareto,
    results_table,
    rungs,
    slices,
    spikes,
    trial,
    workers,
)
from thaw.analysis.plots.plot import NotEnough, Plot
from thaw.analysis.plots.theme import DARK, LIGHT, THEMES, Theme

__all__ = ["DARK", "GROUPS", "LIGHT", "PLOTS", "THEMES", "NotEnough", "Plot", "Theme"]

GROUPS = {
    "thaw": "How much to thaw",
    "mattered": "What mattered",
    "cost": "What it costs",
    "search": "How the search went",
    "labels": "The data and its labels",
    "paper": "The figures of Yue, Tan and Li (2019)",
}
"""The section headings of a report, in order."""

PLOTS: dict[str, Plot[Any]] = {
    "freeze_depth": freeze_depth.PLOT,
    "depth_curves": depth_curves.PLOT,
    "depth_learning_rate": depth_learning_rate.PLOT,
    "importance": importance.PLOT,
    "slices": slices.PLOT,
    "parallel_coordinates": parallel_coordinates.PLOT,
    "pareto": pareto.PLOT,
    "cost_to_quality": cost_to_quality.PLOT,
    "best_so_far": best_so_far.PLOT,
    "learning_curves": learning_curves.PLOT,
    "rungs": rungs.PLOT,
    "workers": workers.PLOT,
    "spikes": spikes.PLOT,
    "label_quality": label_quality.PLOT,
    "label_distribution": label_distribution.PLOT,
    "labels_per_image": labels_per_image.PLOT,
    "cooccurrence": cooccurrence.PLOT,
    "trial": trial.PLOT,
    "compare_training_accuracy": comparison.TRAINING_ACCURACY,
    "compare_validation_accuracy": comparison.VALIDATION_ACCURACY,
    "compare_training_loss": comparison.TRAINING_LOSS,
    "compare_validation_loss": comparison.VALIDATION_LOSS,
    "results_table": results_table.PLOT,
    "frozen_tuned": frozen_tuned.PLOT,
}
"""Name → plot, in the order of a report."""
