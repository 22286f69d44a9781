"""A worker process, which runs one trial after another, on any backend that has workers."""

from __future__ import annotations

import torch

from thaw.trainables.context import RunContext
from thaw.trainables.device import default_device
from thaw.trainables.device_memory import limit_memory, release_memory
from thaw.trainables.messages import Assignment, Report
from thaw.trainables.networks.table import OWN
from thaw.trainables.training.trial import Trial


class Worker:
    """Runs one trial after another in the same process.

    It keeps what is expensive and the same for all trials (imported torch, the memory-mapped images). The state of each
    trial is in one :class:`Trial` object, which the next trial replaces.

    Args:
        context: what all trials of the run share.
        threads: torch's threads.
        gpu: share of a GPU that a trial takes.
    """

    def __init__(self, context: RunContext, threads: int, gpu: float = 0) -> None:
        torch.set_num_threads(threads)
        # The worker has not imported the user's files.
        OWN.update({row.name: row for row in context.networks})
        self.context = context
        self.images = context.open_images()
        self.device = default_device(gpu)
        if self.device.type == "cuda":
            limit_memory(gpu)
        self.trial: Trial | None = None

    def begin(self, assignment: Assignment) -> None:
        """Begin a trial, or resume it where it stopped."""
        # Release the old training before the new one is created, or a GPU would hold both.
        self.trial = None
        release_memory(self.device)
        self.trial = Trial(assignment, self.context, self.images, self.device)

    def step(self) -> Report:
        """Train the trial for one more epoch."""
        assert self.trial is not None
        return self.trial.step()
