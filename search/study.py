"""The Optuna study behind a search: proposals out, values in, and its mirror on disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from search.samplers import build_sampler
from spaces import SearchSpace, Value, metric
from trainables.seeding import derive_seed

optuna.logging.set_verbosity(optuna.logging.WARNING)

STATES: dict[str, TrialState] = {
    "completed": TrialState.COMPLETE,
    "early_stopped": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
"""Optuna's word for a trial's final status."""


class Study:
    """The study in memory, whose trial numbers are Thaw's own.

    The sampler is built anew before each proposal, seeded by (search seed, trial number), so that what is proposed
    depends only on the finished and running trials and never on a generator's hidden state.
    """

    def __init__(self, space: SearchSpace, column: str, algorithm: str, seed: int) -> None:
        self.space, self.algorithm, self.seed = space, algorithm, seed
        self.study = optuna.create_study(direction=metric(column).direction)
        self._trials: dict[int, optuna.Trial] = {}

    def ask(self, number: int, wanted: Mapping[str, Value] | None = None) -> tuple[dict[str, Value], dict[str, Any]]:
        """Searched values of trial `number`, and their distributions as JSON values.

        Args:
            number: the next number; trials are asked for in order.
            wanted: values to try (a grid's cell, or an entry of ``start_with``); the sampler fills in the rest.
        """
        if wanted is not None:
            self.study.enqueue_trial(dict(wanted))
        self.study.sampler = build_sampler(self.algorithm, derive_seed(self.seed, "proposal", number))
        trial = self.study.ask()
        assert trial.number == number
        self._trials[number] = trial
        values = self.space.suggest(trial)
        to_json = optuna.distributions.distribution_to_json
        return values, {name: json.loads(to_json(d)) for name, d in trial.distributions.items()}

    def report(self, number: int, epoch: int, value: float) -> None:
        self._trials[number].report(value, epoch)

    def tell(self, number: int, status: str, value: float | None) -> FrozenTrial:
        """End a trial. A pruned one is worth its last reported value, which Optuna takes by itself."""
        state = STATES[status]
        frozen = self.study.tell(self._trials.pop(number), value if state == TrialState.COMPLETE else None, state)
        frozen.set_user_attr("trial", number)
        frozen.set_user_attr("status", status)
        return frozen


class StudyMirror:
    """``study.log``: the finished trials in Optuna's journal format, for optuna-dashboard and any Optuna tool.

    It is never read back. Trials stand in the order of their end, under Optuna's own numbers; the user attribute
    ``trial`` holds Thaw's number.
    """

    def __init__(self, file: Path, name: str, direction: Literal["maximize", "minimize"]) -> None:
        storage = JournalStorage(JournalFileBackend(str(file)))
        self._study = optuna.create_study(study_name=name, storage=storage, direction=direction)

    def add(self, trial: FrozenTrial) -> None:
        self._study.add_trial(trial)
