"""The only file of this package that knows Ray: one trial as Ray Tune runs it."""

from __future__ import annotations

import os
import socket
from typing import Any

import torch
from ray import tune

from spaces import TrialConfig
from trainables.context import RunContext
from trainables.loop import Failure, Training


class TrialTrainable(tune.Trainable):
    """Runs one trial after another in the same process.

    A worker keeps what is costly and the same for all trials (imported torch, the open image map); each trial's own
    state lives in one :class:`Training` object that the next trial replaces.

    Ray calls ``setup`` for a worker's first trial, ``reset_config`` for each later one, ``step`` once an epoch.
    """

    def setup(self, config: dict[str, Any], context: RunContext, threads: int) -> None:  # type: ignore[override]
        torch.set_num_threads(threads)
        self.context = context
        self.images = context.open_images()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        """Start the trial ``{"trial": number, "config": hyperparameters}``."""
        self.training = Training(TrialConfig(**config["config"]), self.context, self.images, self.device)

    def step(self) -> dict[str, Any]:
        row = self.training.epoch()
        return {
            # The row stays an object: Ray would flatten a dictionary into names such as row/metrics/val_map.
            "row": row,
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "warning": self.training.activations.warning,
            "done": isinstance(row, Failure) or bool(row.finished),
        }
