"""Where a search's configurations come from: Optuna, with a grid's cells or the user's own configurations first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from thaw.analysis.earlier import earlier_record
from thaw.analysis.objectives import outcome
from thaw.analysis.records import TrialRecord
from thaw.search.engine.samplers import NAMES, STARTUP
from thaw.search.engine.study import Study
from thaw.search.settings.config import SearchConfig
from thaw.search.settings.finite import cell_key, configurations
from thaw.spaces import Value
from thaw.spaces.words import counted
from thaw.trainables.seeding import derive_seed


class Proposer(Protocol):
    """Gives each new trial its configuration.

    Attributes:
        trials: how many trials there will be.
    """

    trials: int

    def draft(self, number: int) -> dict[str, Any]:
        """Fields of the event ``trial_started`` of trial `number`, the next one: ``config``, possibly others."""

    def apply(self, event: dict[str, Any], record: TrialRecord | None) -> None:
        """Process an event, live or replayed; `record` is the state of its trial after it, if it has one."""


class StudyProposer:
    """Proposes with an Optuna study, which it keeps consistent with the event log.

    Args:
        config: the resolved search file.
    """

    def __init__(self, config: SearchConfig) -> None:
        self.seed = config.search.seed
        self.space, self.metric = config.search_space, config.search.metric
        self.algorithm = config.search.algorithm
        self.study = Study(self.space, self.metric, self.algorithm, self.seed, config.search.costs)
        self.trials = config.trials
        self.start_with = config.search.start_with
        cells = configurations(config)
        self._untried = None if cells is None else {cell_key(cell): cell for cell in cells}

    def draft(self, number: int) -> dict[str, Any]:
        requested, reason = self._requested(number)
        values, distributions = self.study.ask(number, requested)
        trial = self.space.config(values)
        seed = derive_seed(self.seed, trial.canonical())
        return {"config": trial.model_dump(), "distributions": distributions, "seed": seed, "reason": reason}

    def _requested(self, number: int) -> tuple[Mapping[str, Value] | None, str]:
        """Requested values of trial `number`, possibly only some, and why; None if the sampler draws all of them."""
        if self._untried is not None:
            left = len(self._untried)
            reason = f"the space has {counted(left, 'untried configuration')} left"
            return next(iter(self._untried.values()), None), reason
        if number >= len(self.start_with):
            return self._proposed(number)
        entry, reason = self.start_with[number], f"entry {number + 1} of start_with"
        rest = [name for name in self.space.parameters if name not in entry]
        return entry, f"{reason}, {', '.join(rest)} {self._sampled()}" if rest else reason

    def _proposed(self, number: int) -> tuple[Mapping[str, Value] | None, str]:
        """Like `_requested`, for trials that the algorithm decides: here Optuna's sampler."""
        return None, self._sampled()

    def learn(self, earlier: Sequence[TrialRecord]) -> None:
        """Learn from these ended trials of other runs from now on."""
        for record in earlier:
            self.study.add(record)

    def _sampled(self) -> str:
        """How Optuna's sampler chooses its values."""
        known, needed = self.study.known(), STARTUP.get(self.algorithm)
        if needed is None:
            return "drawn at random"
        name = NAMES.get(self.algorithm, self.algorithm)
        return (
            f"{name}, from {counted(known, 'trial')}{self._of_them()}"
            if known >= needed
            else (f"drawn at random: {name} needs {counted(needed, 'trial')}, {known} so far")
        )

    def _of_them(self) -> str:
        """How many of the known trials are from other runs."""
        return f" ({self.study.earlier} of earlier runs)" if self.study.earlier else ""

    def apply(self, event: dict[str, Any], record: TrialRecord | None) -> None:
        match event["event"]:
            case "earlier_trials":
                self.learn([earlier_record(trial, self.metric) for trial in event["trials"]])
            case "trial_started":
                values = {name: event["config"][name] for name in event["distributions"]}
                self.study.begin(event["trial"], values)
                if self._untried is not None:
                    self._untried.pop(cell_key(values), None)
            case "epoch":
                self.study.report(event["trial"], event["epoch"], event["metrics"][self.metric])
            case "trial_paused" if event["status"] == "waiting":
                assert record is not None
                # What a pruned trial is worth.
                last = outcome(record, self.study.objectives, None if self.study.several else max(record.epochs))
                self.study.wait(record.number, last)
            case "trial_continued":
                self.study.go_on(event["trial"])
            case "trial_ended":
                assert record is not None
                worth = outcome(record, self.study.objectives) if record.epochs else None
                self.study.tell(record.number, record.status, worth)
