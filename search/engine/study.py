"""The Optuna study behind a search: proposals out, values in."""

from __future__ import annotations

import copy
import json
from collections.abc import Container, Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import InMemoryStorage
from optuna.trial import FixedTrial, FrozenTrial, TrialState, create_trial

from thaw.analysis.records import TrialRecord
from thaw.search.engine.samplers import build_sampler
from thaw.spaces import SearchSpace, Value, best_epoch, metric
from thaw.trainables.seeding import derive_seed

optuna.logging.set_verbosity(optuna.logging.WARNING)

STATES: dict[str, TrialState] = {
    "completed": TrialState.COMPLETE,
    "early_stopped": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
"""Optuna's state for a trial's final status."""


def state_of(status: str, objectives: int) -> TrialState:
    """Optuna's word for a trial's final status. With several objectives it learns from completed trials only."""
    state = STATES[status]
    return TrialState.COMPLETE if state == TrialState.PRUNED and objectives > 1 else state


class _Trials(InMemoryStorage):
    """Shows trials that wait at a rung as stopped there, as samplers learn from ended trials only.

    They stay open, so that a promoted one can continue, which Optuna does not support.

    Attributes:
        waiting: their numbers, as Optuna has them, and what each is worth.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waiting: dict[int, Sequence[float]] = {}

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        if not self.waiting:
            return super().get_all_trials(study_id, deepcopy, states)
        trials = super().get_all_trials(study_id, deepcopy)
        shown = [self._stopped(trial) if trial.number in self.waiting else trial for trial in trials]
        return [trial for trial in shown if states is None or trial.state in states]

    def _stopped(self, trial: FrozenTrial) -> FrozenTrial:
        shown = copy.copy(trial)
        values = self.waiting[trial.number]
        shown.state, shown.values = state_of("pruned", len(values)), values
        return shown


class Study:
    """The study in memory, whose trials follow each other in the order of Thaw's own numbers.

    A new sampler is built for each proposal, seeded by (search seed, trial number), so that what is proposed
    depends only on the finished and running trials and never on a generator's hidden state.

    Attributes:
        earlier: trials of other runs in it. They come first, so that Optuna's numbers are so much higher than Thaw's.
    """

    def __init__(self, space: SearchSpace, column: str, algorithm: str, seed: int, costs: Sequence[str] = ()) -> None:
        self.space, self.column, self.algorithm, self.seed = space, column, algorithm, seed
        self.objectives = (column, *costs)
        self._storage = _Trials()
        directions = [metric(column).direction]
        directions += ["minimize" for _ in costs]
        self.study = optuna.create_study(storage=self._storage, directions=directions)
        self._trials: dict[int, optuna.Trial] = {}
        self.earlier = 0

    def ask(self, number: int, requested: Mapping[str, Value] | None = None) -> tuple[dict[str, Value], dict[str, Any]]:
        """Searched values of trial `number`, and their distributions as JSON values.

        Args:
            number: the next number; trials are requested in order.
            requested: values to try (a grid's cell, or an entry of ``start_with``); the sampler fills in the rest.
        """
        if requested is not None:
            self.study.enqueue_trial(dict(requested))
        self.study.sampler = build_sampler(self.algorithm, derive_seed(self.seed, "proposal", number))
        trial = self._trials[number] = self.study.ask()
        values = self.space.suggest(trial)
        to_json = optuna.distributions.distribution_to_json
        return values, {name: json.loads(to_json(d)) for name, d in trial.distributions.items()}

    def add(self, record: TrialRecord) -> None:
        """Add an ended trial of another run, which lies in this space; before the first trial of this run."""
        fixed = FixedTrial({name: record.config[name] for name in self.space.parameters})
        params = self.space.suggest(fixed)
        values = record.values(self.column)
        state = STATES[record.status]
        # As `tell` has it: a pruned trial is worth its last value.
        value = values[best_epoch(values, self.column) if state == TrialState.COMPLETE else max(values)]
        self.study.add_trial(
            create_trial(
                state=state,
                params=params,
                distributions=fixed.distributions,
                value=value,
                intermediate_values=values,
            )
        )
        self.earlier += 1

    def begin(self, number: int, values: Mapping[str, Any]) -> None:
        """Make trial `number` with these searched values known, unless it was asked for here: a log is being replayed.

        Raises:
            ValueError: the space cannot have given these values.
        """
        if number in self._trials:
            return
        self.study.enqueue_trial(dict(values))
        self.study.sampler = build_sampler("random", 0)
        trial = self.study.ask()
        # A value that the space does not hold is drawn anew.
        if self.space.suggest(trial) != values:
            raise ValueError(f"the space holds no trial of {dict(values)}")
        assert trial.number == self.earlier + number
        self._trials[number] = trial

    @property
    def several(self) -> bool:
        """Whether there are several objectives. Then Optuna knows neither values of epochs nor pruned trials."""
        return len(self.objectives) > 1

    def report(self, number: int, epoch: int, value: float) -> None:
        if not self.several:
            self._trials[number].report(value, epoch)

    def wait(self, number: int, values: Sequence[float]) -> None:
        """Trial `number` waits at a rung: until it continues, it counts like a trial stopped with these values."""
        self._storage.waiting[self.earlier + number] = values

    def go_on(self, number: int) -> None:
        """Trial `number` no longer waits."""
        self._storage.waiting.pop(self.earlier + number, None)

    def known(self) -> int:
        """Number of trials that the sampler learns from: ended with a value, or waiting at a rung."""
        return len(self.study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)))

    def tell(self, number: int, status: str, values: Sequence[float] | None) -> None:
        """End a trial. With one objective Optuna takes a pruned one's last reported value by itself."""
        state = state_of(status, len(self.objectives))
        self.go_on(number)
        self.study.tell(self._trials.pop(number), values if state == TrialState.COMPLETE else None, state)

    def frozen(self, number: int) -> FrozenTrial:
        """A copy of what Optuna knows of a trial."""
        return copy.deepcopy(self.study.get_trials(deepcopy=False)[self.earlier + number])
