"""Trials in this process, in turn: for notebooks, debuggers, tests, and machines where Ray does not start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import torch

from thaw.analysis.run_folder import RunFolder
from thaw.search.backends.errors import last_line, settle_error
from thaw.search.engine.interruption import StopRequest
from thaw.search.engine.state import SearchState
from thaw.search.settings.schema import ResourcesConfig
from thaw.trainables.activations.resident import RESIDENT
from thaw.trainables.context import RunContext
from thaw.trainables.device import default_device
from thaw.trainables.device_memory import release_memory
from thaw.trainables.training.trial import Trial, groups, step_together

T = TypeVar("T")


class InlineBackend:
    """Runs one epoch of each trial in turn, with as many trials at a time as there are slots.

    Heads of equal shape are trained together, as many as ``resources.heads_per_trial`` allows.
    Proposals and rungs see concurrent trials, as they would with as many workers, but nothing runs in parallel.

    Args:
        resources: resources of one trial; its processors are torch's threads.
        folder: the run folder; nothing is kept in it.
        context: what all trials share.
    """

    def __init__(self, resources: ResourcesConfig, folder: RunFolder, context: RunContext) -> None:
        self.threads, self.together, self.context = resources.cpu, resources.heads_per_trial, context
        self.device = default_device(resources.gpu or 0)

    def run(self, state: SearchState, slots: int, stop: StopRequest) -> None:
        torch.set_num_threads(self.threads)
        images = self.context.open_images()
        trials: dict[int, Trial] = {}
        while True:
            while len(trials) < slots and (assignment := state.propose()):
                begin = partial(Trial, assignment, self.context, images, self.device)
                trial = _attempt(begin, state, [assignment.trial], stop)
                if trial is not None:
                    trials[assignment.trial] = trial
            if not trials:
                return
            for group in groups(trials, self.together):
                reports = _attempt(partial(step_together, [trials[n] for n in group]), state, group, stop)
                going_on = [n for n, report in zip(group, reports or (), strict=False) if state.report(n, report)]
                ended = [number for number in group if number not in going_on]
                for number in ended:
                    del trials[number]
                if ended:
                    release_memory(self.device)
                if reports is None:
                    # What other trials have left on a GPU may obstruct the next attempt.
                    RESIDENT.clear()


def _attempt(work: Callable[[], T], state: SearchState, numbers: Sequence[int], stop: StopRequest) -> T | None:
    """The result of some trials' `work`; None if it raised an exception, and the trials are settled."""
    try:
        with stop.at_once():
            return work()
    except Exception as error:
        for number in numbers:
            settle_error(state, number, last_line(error))
        return None
