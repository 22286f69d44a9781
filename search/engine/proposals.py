"""Where a search's configurations come from: Optuna, with a grid's cells or the user's own configurations first."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from thaw.analysis.records import TrialRecord
from thaw.search.engine.samplers import STARTUP
from thaw.search.engine.study import Study
from thaw.search.settings.config import SearchConfig
from thaw.search.settings.finite import cell_key, configurations
from thaw.spaces import Value, best_epoch
from thaw.trainables.seeding import derive_seed


class Proposer(Protocol):
    """Gives each new trial its configuration.

    Attributes:
        trials: how many trials there will be.
    """

    trials: int

    def draft(self, number: int) -> dict[str, Any]:
        """Fields of the event ``trial_started`` of trial `number`, the next one: ``config``, perhaps others."""

    def apply(self, event: dict[str, Any], record: TrialRecord | None) -> None:
        """Learn of an event, live or replayed; `record` is what is then known of its trial, if it has one."""


class StudyProposer:
    """Proposes by an Optuna study, which it keeps true to the event log.

    Args:
        config: the resolved search file.
    """

    def __init__(self, config: SearchConfig) -> None:
        self.seed = config.search.seed
        self.space, self.metric = config.search_space, config.search.metric
        self.algorithm = config.search.algorithm
        self.study = Study(self.space, self.metric, self.algorithm, self.seed)
        self.trials = config.trials
        self.start_with = config.search.start_with
        cells = configurations(config)
        self._untried = None if cells is None else {cell_key(cell): cell for cell in cells}

    def _requested(self, number: int) -> Mapping[str, Value] | None:
        """Values to try, perhaps some of them only; None where the sampler decides."""
        if self._untried is not None:
            return next(iter(self._untried.values()), None)
        return self.start_with[number] if number < len(self.start_with) else None

    def draft(self, number: int) -> dict[str, Any]:
        requested = self._requested(number)
        reason = self._reason(number, requested)
        values, distributions = self.study.ask(number, requested)
        trial = self.space.config(values)
        seed = derive_seed(self.seed, trial.canonical())
        return {"config": trial.model_dump(), "distributions": distributions, "seed": seed, "reason": reason}

    def _reason(self, number: int, requested: Mapping[str, Value] | None) -> str:
        """Why trial `number` is proposed, for the log."""
        if self._untried is not None:
            return f"one of {len(self._untried)} configurations of the space that are left"
        known = self.study.known()
        drawn = STARTUP.get(self.algorithm, math.inf) > known
        sampled = "drawn at random" if drawn else f"{self.algorithm}, from {known} trials"
        if drawn and self.algorithm in STARTUP:
            sampled += f": {self.algorithm} needs {STARTUP[self.algorithm]} trials, {known} so far"
        if requested is None:
            return sampled
        rest = [name for name in self.space.parameters if name not in requested]
        entry = f"entry {number + 1} of start_with"
        return f"{entry}, {', '.join(rest)} {sampled}" if rest else entry

    def apply(self, event: dict[str, Any], record: TrialRecord | None) -> None:
        match event["event"]:
            case "trial_started":
                self.study.begin(event["trial"], event["config"], event["distributions"])
                if self._untried is not None:
                    tried = {name: event["config"][name] for name in event["distributions"]}
                    self._untried.pop(cell_key(tried), None)
            case "epoch":
                self.study.report(event["trial"], event["epoch"], event["metrics"][self.metric])
            case "trial_paused" if event["status"] == "waiting":
                self.study.wait(event["trial"])
            case "trial_continued":
                self.study.go_on(event["trial"])
            case "trial_ended":
                assert record is not None
                values = record.values(self.metric)
                value = values[best_epoch(values, self.metric)] if values else None
                self.study.tell(record.number, record.status, value)
