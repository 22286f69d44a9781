"""One trial in a worker: it resumes its assignment where it was left, and reports after each epoch."""

from __future__ import annotations

import torch

from thaw.trainables.context import RunContext
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.messages import Assignment, EpochRow, Failure, Report, this_worker
from thaw.trainables.training.continuation import Continuation
from thaw.trainables.training.loop import Training


class Trial:
    """A trial in training, on any backend.

    Args:
        assignment: what the search has assigned.
        context: what all trials of the run share.
        images: the decoded images.
        device: device to compute on.
    """

    def __init__(self, assignment: Assignment, context: RunContext, images: ImageStore, device: torch.device) -> None:
        self.training = Training(assignment.config, context.on(assignment.fold), images, device)
        self.continuation = Continuation(context.checkpoints, assignment.trial)
        self._unlogged = self.continuation.restore(self.training, assignment.logged)

    def step(self) -> Report:
        """Train for one more epoch, unless the checkpoint holds one that never reached the log."""
        outcome: EpochRow | Failure
        if self._unlogged is not None:
            outcome, self._unlogged = self._unlogged, None
        else:
            outcome = self.training.epoch()
            if isinstance(outcome, EpochRow):
                self.continuation.save(self.training, outcome)
        warnings = (self.training.activations.warning, self.continuation.warning)
        return Report(outcome, this_worker(), "; ".join(warning for warning in warnings if warning))
