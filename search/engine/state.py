"""SearchState: the search as it stands. Ray's hooks only translate into it; it knows nothing of Ray.

Each change is an event: appended to the log first, then applied to records, proposer and rule. Applying the events of
a log from the beginning gives the state that wrote them, which is all there is to resuming.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from thaw.analysis.records import TrialRecord, apply_event
from thaw.search.engine.events import EventLog
from thaw.search.engine.observers import Watchers
from thaw.search.engine.proposals import Proposer
from thaw.search.engine.rules import CONTINUE, Decision, Rule

FINISH = {"max_epochs": "completed", "patience": "early_stopped"}
"""A trial's own reason to finish → its status."""


@dataclass(frozen=True)
class Proposal:
    """A trial to run.

    Args:
        trial: its number.
        config: its whole configuration.
        logged: the last of its epochs in the event log, 0 for none.
        fold: what a confirmation validates on, as fields of :class:`~thaw.trainables.context.Fold`; None in a search.
    """

    trial: int
    config: dict[str, Any]
    logged: int = 0
    fold: dict[str, int] | None = None


class SearchState:
    """Trials so far, what to try next, and what to stop.

    Args:
        metric: the objective's column.
        events: the open event log.
        proposer: gives new trials their configurations.
        rule: stops poor ones.
        max_failures: how often a trial goes on after its worker or node was lost.

    Attributes:
        records: number → trial.
        watchers: are told what happens from now on.
    """

    def __init__(self, metric: str, events: EventLog, proposer: Proposer, rule: Rule, max_failures: int = 0) -> None:
        self.metric, self.events, self.proposer, self.rule = metric, events, proposer, rule
        self.max_failures = max_failures
        self.records: dict[int, TrialRecord] = {}
        self.watchers = Watchers([], warn=lambda text: None)
        self._open: dict[int, TrialRecord] = {}
        # Epochs whose verdict is more than to continue, and whose consequence is not logged yet.
        self._unsettled: dict[int, dict[str, Any]] = {}

    def _with(self, status: str) -> list[int]:
        return [number for number, record in self._open.items() if record.status == status]

    @property
    def running(self) -> list[int]:
        return self._with("running")

    def propose(self) -> Proposal | None:
        """The next trial, logged before anybody runs it; None if there is none at the moment.

        Interrupted trials come first, then those that the rule promotes, then new ones.
        """
        interrupted, promoted = self._with("interrupted"), self.rule.promotion()
        if interrupted:
            return self._continue(min(interrupted), "interrupted")
        if promoted is not None:
            return self._continue(promoted, "promoted")
        number = len(self.records)
        if number >= self.proposer.trials:
            return None
        self._log("trial_started", trial=number, **self.proposer.draft(number))
        return self._proposal(number)

    def _continue(self, number: int, reason: str) -> Proposal:
        self._log("trial_continued", trial=number, reason=reason)
        return self._proposal(number)

    def _proposal(self, number: int) -> Proposal:
        record = self.records[number]
        return Proposal(number, record.config, max(record.epochs, default=0), record.fold)

    def decide(self, number: int, row: dict[str, Any]) -> Decision:
        """What is to become of a trial after the epoch in `row`, which is recorded next."""
        if self._known(number, row):
            return CONTINUE
        return self.rule.record(number, row["epoch"], row["metrics"][self.metric])

    def _known(self, number: int, row: dict[str, Any]) -> bool:
        """Whether the log has this epoch: a trial that had to restart comes by it again."""
        return row["epoch"] in self.records[number].epochs

    def epoch(self, number: int, row: dict[str, Any]) -> None:
        """Note a finished epoch of a trial, and what follows from it."""
        if self._known(number, row):
            return
        decision = self.decide(number, row)
        logged = {key: value for key, value in row.items() if key != "finished"}
        verdict, reason = ("finish", row["finished"]) if row["finished"] else (decision.verdict, decision.reason)
        self._log("epoch", trial=number, **logged, decision=verdict, reason=reason)
        self.watchers.epoch(self.records[number], row)
        self._settle()

    def _settle(self) -> None:
        """Log what follows from epochs whose verdict is more than to continue."""
        for number, event in list(self._unsettled.items()):
            reason = event["reason"]
            match event["decision"]:
                case "finish":
                    self.end(number, FINISH[reason], reason)
                case "stop":
                    self.end(number, "pruned", reason)
                case "wait":
                    self._pause(number, "waiting", reason)

    def end(self, number: int, status: str, reason: str) -> None:
        """Note a trial's end.

        Args:
            status: completed, early_stopped, pruned or failed.
            reason: why, for the user.
        """
        self._log("trial_ended", trial=number, status=status, reason=reason)
        self.watchers.ended(self.records[number])

    def lose(self, number: int, reason: str) -> None:
        """Note that a trial's worker is gone: the trial goes on elsewhere, unless that happened too often."""
        if self.records[number].failures < self.max_failures:
            self._pause(number, "interrupted", reason)
        else:
            times = self.records[number].failures + 1
            self.end(number, "failed", reason if times == 1 else f"{reason}, {times} times")

    def _pause(self, number: int, status: str, reason: str) -> None:
        self._log("trial_paused", trial=number, status=status, reason=reason)
        self.watchers.paused(self.records[number], reason)

    def start_session(self, overrides: Sequence[str] = ()) -> None:
        """Begin; what the last session left undone of its last event is done now."""
        self._log("session_started", overrides=list(overrides))
        self._settle()

    def finish(self) -> None:
        """Nothing is left to run: trials that still wait for a promotion are pruned."""
        for number in self._with("waiting"):
            self.end(number, "pruned", "no promotion: others were better at its rung")

    def end_session(self, reason: str, seconds: float) -> None:
        if self.events.writable:
            self._log("session_ended", reason=reason, seconds=round(seconds, 3))
        self.events.close()

    def replay(self, events: Iterable[dict[str, Any]]) -> None:
        """Become the state that wrote these events."""
        for event in events:
            self._apply(event)

    def _log(self, event: str, **fields: Any) -> None:
        self._apply(self.events.append(event, **fields))

    def _apply(self, event: dict[str, Any]) -> None:
        apply_event(self.records, event)
        record = self.records.get(event.get("trial", -1))
        self.proposer.apply(event, record)
        if record is None:
            return
        number = record.number
        if event["event"] == "epoch":
            self.rule.record(number, event["epoch"], event["metrics"][self.metric])
            if event["decision"] != "continue":
                self._unsettled[number] = event
            return
        self._unsettled.pop(number, None)
        if record.ended:
            self._open.pop(number, None)
            self.rule.ended(number)
        else:
            self._open[number] = record
        if event["event"] == "trial_continued" and event["reason"] == "promoted":
            self.rule.promoted(number)
