"""SearchState: the search as it stands. Ray's hooks only translate into it; it knows nothing of Ray.

Each change is appended to the event log first and then applied to the records, the study and the rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from analysis.tables import TrialRecord, apply_event
from search.config import SearchConfig
from search.events import EventLog
from search.schedulers import RULES, Decision, Rule
from search.study import Study, StudyMirror
from spaces import Value, best_epoch, metric
from trainables.seeding import derive_seed


@dataclass(frozen=True)
class Proposal:
    """A trial to run.

    Args:
        trial: its number.
        config: its whole configuration.
        logged: the last of its epochs in the event log, 0 for none.
        fold: what it validates on in a confirmation, as fields of :class:`trainables.context.Fold`; None in a search.
    """

    trial: int
    config: dict[str, Any]
    logged: int = 0
    fold: dict[str, int] | None = None


class SearchState:
    """Trials so far, what to try next, and what to stop.

    Args:
        config: the resolved search file.
        events: the open event log.
        mirror: where finished trials are copied for Optuna's tools.
    """

    def __init__(self, config: SearchConfig, events: EventLog, mirror: StudyMirror) -> None:
        self.config, self.events, self.mirror = config, events, mirror
        self.space = config.search_space
        self.metric = config.search.metric
        self.records: dict[int, TrialRecord] = {}
        self.study = Study(self.space, self.metric, config.search.algorithm, config.search.seed)
        self.wanted: list[dict[str, Value]] = self._wanted()
        self.trials = config.trials
        self.rule = self._rule()
        self._decisions: dict[tuple[int, int], Decision] = {}

    def _wanted(self) -> list[dict[str, Value]]:
        """Searched values of the first trials, where the user or the grid fixes them."""
        if self.config.search.algorithm == "grid":
            return self.space.grid()
        return list(self.config.search.start_with)

    def _rule(self) -> Rule:
        scheduler = self.config.scheduler
        longest = max(int(epochs) for epochs in self.space.options("epochs"))
        return RULES[scheduler.type](metric(self.metric), longest, scheduler.grace_period, scheduler.reduction_factor)

    @property
    def running(self) -> list[int]:
        return [number for number, record in self.records.items() if record.status == "running"]

    @property
    def exhausted(self) -> bool:
        """Whether every trial has been proposed."""
        return len(self.records) >= self.trials

    def propose(self) -> Proposal:
        """The next trial, logged as started before anybody runs it, so that numbers have no gaps."""
        number = len(self.records)
        wanted = self.wanted[number] if number < len(self.wanted) else None
        values, distributions = self.study.ask(number, wanted)
        trial = self.space.config(values)
        seed = derive_seed(self.config.search.seed, trial.canonical())
        self._log("trial_started", trial=number, config=trial.model_dump(), distributions=distributions, seed=seed)
        return Proposal(number, trial.model_dump())

    def decide(self, number: int, row: dict[str, Any]) -> Decision:
        """Whether to stop a trial after the epoch in `row`; the same answer however often it is asked."""
        key = (number, row["epoch"])
        if key not in self._decisions:
            self._decisions[key] = self.rule.record(number, row["epoch"], row["metrics"][self.metric])
        return self._decisions[key]

    def epoch(self, number: int, row: dict[str, Any]) -> None:
        """Note a finished epoch of a trial: log, then study."""
        decision = self.decide(number, row)
        verdict = "finish" if row["finished"] else "stop" if decision.stop else "continue"
        logged = {key: value for key, value in row.items() if key != "finished"}
        self._log("epoch", trial=number, **logged, decision=verdict, reason=row["finished"] or decision.reason)
        self.study.report(number, row["epoch"], row["metrics"][self.metric])

    def end(self, number: int, status: str, reason: str) -> None:
        """Note a trial's end: log, then study and its mirror.

        Args:
            status: completed, early_stopped, pruned or failed.
            reason: why, for the user.
        """
        self._log("trial_ended", trial=number, status=status, reason=reason)
        values = self.records[number].values(self.metric)
        value = values[best_epoch(values, self.metric)] if values else None
        self.mirror.add(self.study.tell(number, status, value))

    def start_session(self, overrides: dict[str, Any]) -> None:
        self._log("session_started", overrides=overrides)

    def end_session(self, reason: str, seconds: float) -> None:
        self._log("session_ended", reason=reason, seconds=round(seconds, 3))
        self.events.close()

    def _log(self, event: str, **fields: Any) -> None:
        apply_event(self.records, self.events.append(event, **fields))
