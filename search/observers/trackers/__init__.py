"""Trackers report a search to the service where a team compares its runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.observers import Observer
from thaw.search.observers.trackers.tracker import Tracker
from thaw.spaces import ConfigError

CLASSES = {
    "mlflow": "thaw.search.observers.trackers.mlflow_tracker:MLflow",
    "wandb": "thaw.search.observers.trackers.wandb_tracker:WeightsAndBiases",
}
"""Name in ``trackers`` → location of its class. ``TRACKERS`` of the settings has the same keys, each a package."""


def build_trackers(names: Sequence[str], folder: RunFolder, metric: str, searched: Sequence[str]) -> list[Observer]:
    """The trackers of a session; their packages are imported when it begins.

    Args:
        names: keys of :data:`CLASSES`.
        folder: the run folder.
        metric: the objective's column.
        searched: the searched hyperparameters.

    Raises:
        ConfigError: a package is not installed, or no account is set up.
    """
    kinds = [_tracker(name) for name in names]
    for kind in kinds:
        kind.check()
    return [kind(folder, metric, searched) for kind in kinds]


def send(names: Sequence[str], folder: RunFolder, kind: str, place: Path, say: Callable[[str], None]) -> None:
    """Send a file, or a folder of files, to the trackers of a run. One that does not accept it gives a warning.

    Args:
        names: keys of :data:`CLASSES`.
        folder: of the run.
        kind: what it is: ``report`` or ``model``.
        say: called with a sentence for the user.
    """
    for name in names:
        say(f"sending the {kind} to {name}")
        try:
            _tracker(name)(folder, "", ()).send(kind, place)
        except Exception as error:  # whatever the service raises
            say(f"warning: {name} has not accepted the {kind}: {error or type(error).__name__}")


def _tracker(name: str) -> type[Tracker]:
    if find_spec(name) is None:
        raise ConfigError(f"{name} is not installed; pip install 'thaw-tune[{name}]'", "trackers")
    module, _, kind = CLASSES[name].partition(":")
    return getattr(import_module(module), kind)
