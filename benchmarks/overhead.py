"""Overhead of a trial and an epoch beyond their work, compared with empty trials of plain Ray Tune."""

from __future__ import annotations

import os
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from ray import tune

from benchmarks.photos import Bench
from thaw.analysis.run import Run
from thaw.search.sessions.tuner import run_search

LOG_SETTINGS = ("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "TUNE_GLOBAL_CHECKPOINT_S")
"""The settings with which Thaw keeps Ray Tune from writing its own log files and snapshots."""


class Empty(tune.Trainable):
    """A trial of plain Ray Tune that does nothing, for one or more epochs."""

    def setup(self, config: dict[str, Any]) -> None:
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.epochs = new_config["epochs"]
        return True

    def step(self) -> dict[str, Any]:
        return {"done": self.iteration + 1 >= self.epochs}


class Clock(tune.Callback):
    """Records when each row arrives."""

    times: list[float] = []  # noqa: RUF012  # on the class, because Ray copies callbacks

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict[str, Any], **info: Any) -> None:
        self.times.append(time.perf_counter())


def _empty(trials: int, epochs: int, storage: Path) -> list[float]:
    """Seconds between the rows of empty trials that run one at a time."""
    Clock.times = []
    tune.Tuner(
        Empty,
        param_space={"epochs": epochs, "number": tune.grid_search(list(range(trials)))},
        tune_config=tune.TuneConfig(reuse_actors=True, max_concurrent_trials=1),
        run_config=tune.RunConfig(
            name=f"empty-{trials}-{epochs}",
            storage_path=str(storage),
            callbacks=[Clock()],
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            verbose=0,
        ),
    ).fit()
    return np.diff(Clock.times).tolist()


def _beyond_work(run: Run) -> list[float]:
    """Seconds between the rows of a run that trains one trial at a time, minus the time of the epochs themselves."""
    rows = [event for event in run.folder.events() if event["event"] == "epoch"]
    return (np.diff([row["time"] for row in rows]) - [work(row) for row in rows[1:]]).tolist()


def work(row: dict[str, Any]) -> float:
    """Seconds of an epoch's own work."""
    return sum(row["seconds"].values())


def overhead(bench: Bench, trials: int) -> dict[str, float]:
    """Seconds that a trial and an epoch cost beyond their work: medians over head trials, over empty trials of plain
    Ray Tune with Thaw's settings, and over empty trials with Ray Tune's own log files, which Thaw switches off.
    """
    figures: dict[str, float] = {}
    for name, count, epochs in (("trial", trials + 1, 1), ("epoch", 1, trials + 1)):
        config = bench.config(
            f"overhead-{name}",
            "limits",
            space={"dropout": np.linspace(0, 0.6, count).tolist()},
            training={"freeze_depth": 5, "epochs": epochs, "architecture": bench.architecture, "patience": 0},
            search={"concurrency": 1},
        )
        thaw = median(_beyond_work(run_search(config)))
        empty = median(_empty(count, epochs, bench.work / "ray"))
        figures |= {f"thaw_{name}": thaw, f"empty_{name}": empty, f"{name}_ratio": thaw / empty}
        own = {key: os.environ.pop(key) for key in LOG_SETTINGS}
        figures[f"empty_{name}_default_logs"] = median(_empty(count, epochs, bench.work / "ray-default"))
        os.environ.update(own)
    return figures
