"""Trials as Ray Tune runs them. This is the only file of the package that depends on Ray."""

from __future__ import annotations

from typing import Any

from ray import tune

from thaw.trainables.context import RunContext
from thaw.trainables.messages import Assignment
from thaw.trainables.training.worker import Worker


class TrialTrainable(tune.Trainable):
    """A worker as Ray Tune's trainable.

    Ray calls ``setup`` for a worker's first trial, ``reset_config`` for each later one, and ``step`` once per epoch.
    """

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], context: RunContext, threads: int, gpu: float
    ) -> None:
        self.worker = Worker(context, threads, gpu)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.worker.begin(Assignment.from_json(new_config["assignment"]))
        return True

    def step(self) -> dict[str, Any]:
        report = self.worker.step()
        # The report stays an object: Ray would flatten a dictionary into names such as report/metrics/val_map.
        return {"report": report, "done": report.last}
