"""One trial in a worker: it resumes its assignment where it stopped, and reports after each epoch."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch

from thaw.trainables.context import RunContext
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.messages import Assignment, EpochRow, Failure, Report, this_worker
from thaw.trainables.training.continuation import Continuation
from thaw.trainables.training.loop import Training
from thaw.trainables.training.together import epoch_together, shape


class Trial:
    """A trial in training, on any backend.

    Args:
        assignment: what the search has assigned.
        context: what all trials of the run share.
        images: the decoded images.
        device: device to compute on.

    Attributes:
        unlogged: the row of an epoch that was trained but never logged, to be reported first; or None.
    """

    def __init__(self, assignment: Assignment, context: RunContext, images: ImageStore, device: torch.device) -> None:
        self.training = Training(assignment.config, context.on(assignment.fold), images, device)
        self.continuation = Continuation(context.checkpoints, assignment.trial)
        self.unlogged = self.continuation.restore(self.training, assignment.logged)

    def step(self) -> Report:
        """Train for one more epoch, unless the checkpoint holds one that never reached the log."""
        if self.unlogged is None:
            return self.reported(self.training.epoch())
        outcome, self.unlogged = self.unlogged, None
        return self._report(outcome)

    def reported(self, outcome: EpochRow | Failure) -> Report:
        """The report on an epoch that was just trained, once its checkpoint is written."""
        if isinstance(outcome, EpochRow):
            self.continuation.save(self.training, outcome)
        return self._report(outcome)

    def _report(self, outcome: EpochRow | Failure) -> Report:
        warnings = (self.training.activations.warning, self.continuation.warning)
        return Report(outcome, this_worker(), "; ".join(warning for warning in warnings if warning))


def step_together(trials: Sequence[Trial]) -> list[Report]:
    """As :meth:`Trial.step` for each of several trials, whose trainings are of one :func:`~.together.shape`."""
    if len(trials) == 1:
        return [trials[0].step()]
    waiting = [trial for trial in trials if trial.unlogged is None]
    outcomes = iter(epoch_together([trial.training for trial in waiting]) if waiting else ())
    return [trial.reported(next(outcomes)) if trial in waiting else trial.step() for trial in trials]


def groups(trials: Mapping[int, Trial], most: int) -> list[list[int]]:
    """The numbers of the trials, in groups that can be trained together.

    Args:
        trials: by number.
        most: how many may be trained together.
    """
    found: list[list[int]] = []
    filling: dict[Hashable, list[int]] = {}
    for number, trial in trials.items():
        alike = shape(trial.training) or number
        if alike in filling and len(filling[alike]) < most:
            filling[alike].append(number)
        else:
            filling[alike] = [number]
            found.append(filling[alike])
    return found
