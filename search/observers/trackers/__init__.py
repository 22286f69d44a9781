"""Trackers: what happens in a search, told to the service where a team compares its runs."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.observers import Observer
from thaw.spaces import ConfigError

CLASSES = {
    "mlflow": "thaw.search.observers.trackers.mlflow_tracker:MLflow",
    "wandb": "thaw.search.observers.trackers.wandb_tracker:WeightsAndBiases",
}
"""``trackers`` in a search file → where its class is. The settings' ``TRACKERS`` has the same keys, each a package."""


def build_trackers(names: Sequence[str], folder: RunFolder, metric: str, searched: Sequence[str]) -> list[Observer]:
    """The trackers of a session; their packages are imported when it begins.

    Args:
        names: keys of :data:`CLASSES`.
        folder: of the run.
        metric: the objective's column.
        searched: the searched hyperparameters.

    Raises:
        ConfigError: a package is not installed.
    """
    for name in names:
        if find_spec(name) is None:
            raise ConfigError(f"{name} is not installed; pip install 'thaw-tune[{name}]'", "trackers")
    return [_tracker(name)(folder, metric, searched) for name in names]


def _tracker(name: str) -> Any:
    module, _, kind = CLASSES[name].partition(":")
    return getattr(import_module(module), kind)
