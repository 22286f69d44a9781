"""The only file of this package that knows Ray: one trial as Ray Tune runs it."""

from __future__ import annotations

import json
import os
import socket
from typing import Any

import torch
from ray import tune

from thaw.spaces import TrialConfig
from thaw.trainables.context import Fold, RunContext
from thaw.trainables.device import default_device
from thaw.trainables.training.continuation import Continuation
from thaw.trainables.training.loop import EpochRow, Failure, Training


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
        self.device = default_device()
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> None:
        """Take up a trial.

        Args:
            config: ``proposal``, a JSON object: ``trial``, its number; ``config``, its hyperparameters; ``logged``, its
                last epoch in the event log; ``fold``, the fields of a :class:`Fold`, or null.
        """
        proposal = json.loads(config["proposal"])
        context = self.context.on(Fold(**proposal["fold"]) if proposal["fold"] else None)
        self.training = Training(TrialConfig(**proposal["config"]), context, self.images, self.device)
        self.continuation = Continuation(self.context.checkpoints, proposal["trial"])
        self.unlogged = self.continuation.restore(self.training, proposal["logged"])

    def step(self) -> dict[str, Any]:
        row: EpochRow | Failure
        if self.unlogged is not None:
            row, self.unlogged = self.unlogged, None
        else:
            row = self.training.epoch()
            if isinstance(row, EpochRow):
                self.continuation.save(self.training, row)
        warnings = (self.training.activations.warning, self.continuation.warning)
        return {
            # The row stays an object: Ray would flatten a dictionary into names such as row/metrics/val_map.
            "row": row,
            "worker": f"{socket.gethostname()}:{os.getpid()}",
            "warning": "; ".join(warning for warning in warnings if warning),
            "done": isinstance(row, Failure) or bool(row.finished),
        }
