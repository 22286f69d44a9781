"""Trials as Ray Tune runs them. This is the only file of the package that depends on Ray."""

from __future__ import annotations

from typing import Any

import torch
from ray import tune

from thaw.trainables.context import RunContext
from thaw.trainables.device import default_device
from thaw.trainables.device_memory import limit_memory, release_memory
from thaw.trainables.messages import Assignment
from thaw.trainables.networks.table import OWN
from thaw.trainables.training.trial import Trial


class TrialTrainable(tune.Trainable):
    """Runs one trial after another in the same process.

    A worker keeps what is expensive and the same for all trials (imported torch, the memory-mapped images). The state
    of each trial is in one :class:`Trial` object, which the next trial replaces.

    Ray calls ``setup`` for a worker's first trial, ``reset_config`` for each later one, and ``step`` once per epoch.
    """

    def setup(  # type: ignore[override]
        self, config: dict[str, Any], context: RunContext, threads: int, gpu: float
    ) -> None:
        torch.set_num_threads(threads)
        # The worker has not imported the user's files.
        OWN.update({row.name: row for row in context.networks})
        self.context = context
        self.images = context.open_images()
        self.device = default_device(gpu)
        if self.device.type == "cuda":
            limit_memory(gpu)
        self.reset_config(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.assignment = Assignment.from_json(new_config["assignment"])
        # Release the old training before the new one is created, or a GPU would hold both.
        self.trial: Trial | None = None
        release_memory(self.device)
        self.trial = Trial(self.assignment, self.context, self.images, self.device)
        return True

    def step(self) -> dict[str, Any]:
        assert self.trial is not None
        report = self.trial.step()
        # The report stays an object: Ray would flatten a dictionary into names such as report/metrics/val_map.
        return {"report": report, "done": report.last}
