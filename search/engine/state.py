"""SearchState: the current state of the search. Backends translate into it; it depends on neither them, torch nor Ray.

Each change is an event: appended to the log first, then applied to records, proposer and rule. Applying the events of
a log from the beginning gives the state that wrote them, which is all there is to resuming. A verdict on a trial is
computed once, when its epoch is reported; it is part of the epoch's event, and replaying the log applies it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from thaw.analysis.cost import seconds_alone
from thaw.analysis.event_shapes import EVENTS
from thaw.analysis.objectives import losses
from thaw.analysis.records import TrialRecord, apply_event
from thaw.analysis.run_folder import MEND_LOG
from thaw.search.engine.events import EventLog
from thaw.search.engine.observers import Observers
from thaw.search.engine.proposals import Proposer
from thaw.search.engine.rules import Rule
from thaw.spaces import ConfigError, TrialConfig
from thaw.trainables.messages import Assignment, EpochRow, Failure, Fold, Report

FINISH = {"max_epochs": "completed", "patience": "early_stopped"}
"""A trial's own reason to finish → its status."""

STOPPED = {"stop": "pruned", "wait": "waiting"}
"""A rule's verdict, other than to continue → the trial's status."""


class SearchState:
    """Trials so far, what to try next, and what to stop.

    Args:
        metric: the objective's column.
        events: the open event log.
        proposer: gives new trials their configurations.
        rule: stops poor ones.
        max_failures: how often a trial continues after its worker or node was lost.
        costs: objectives other than the metric; `rule` then compares vectors, of which less is better in each place.

    Attributes:
        records: number → trial.
        observers: called for everything that happens from now on.
    """

    def __init__(
        self,
        metric: str,
        events: EventLog,
        proposer: Proposer,
        rule: Rule,
        max_failures: int = 0,
        costs: Sequence[str] = (),
    ) -> None:
        self.metric, self.events, self.proposer, self.rule = metric, events, proposer, rule
        self.max_failures, self.objectives = max_failures, (metric, *costs)
        self.records: dict[int, TrialRecord] = {}
        self.observers = Observers([], warn=lambda text: None)
        self._open: dict[int, TrialRecord] = {}
        # (status, reason) that follow from a trial's last epoch and are not logged yet.
        self._unsettled: dict[int, tuple[str, str]] = {}

    def _with(self, status: str) -> list[int]:
        return [number for number, record in self._open.items() if record.status == status]

    @property
    def running(self) -> list[int]:
        return self._with("running")

    def propose(self) -> Assignment | None:
        """The next trial to run, logged before it runs; None if there is none at the moment.

        Interrupted trials come first, then those that the rule promotes, then new ones.
        """
        interrupted, promoted = self._with("interrupted"), self.rule.promotion(self._with("waiting"))
        if interrupted:
            return self._continue(min(interrupted), "interrupted")
        if promoted is not None:
            return self._continue(promoted, "promoted")
        number = len(self.records)
        if number >= self.proposer.trials:
            return None
        self._log("trial_started", trial=number, **self.proposer.draft(number))
        return self._assignment(number)

    def _continue(self, number: int, reason: str) -> Assignment:
        self._log("trial_continued", trial=number, reason=reason)
        return self._assignment(number)

    def _assignment(self, number: int) -> Assignment:
        record = self.records[number]
        fold = Fold(**record.fold) if record.fold else None
        return Assignment(number, TrialConfig(**record.config), max(record.epochs, default=0), fold)

    def report(self, number: int, report: Report) -> bool:
        """Record a report of trial `number` and its consequences. Returns whether the trial continues in its slot."""
        if isinstance(report.outcome, Failure):
            self.end(number, "failed", report.outcome.reason)
            return False
        row, record = report.outcome, self.records[number]
        if row.epoch in record.epochs:
            # A trial that restarted without its checkpoint repeats epochs that the log has.
            return True
        costs = self._costs(record, row)
        if row.finished:
            verdict, reason = "finish", row.finished
        else:
            decision = self.rule.decide(record, row.epoch, self._judged(row.metrics, costs))
            verdict, reason = decision.verdict, decision.reason
        logged = {key: value for key, value in asdict(row).items() if key not in ("finished", "costs")}
        logged |= {"costs": costs} if costs else {}
        logged |= {"worker": report.worker} | ({"warning": report.warning} if report.warning else {})
        self._log("epoch", trial=number, **logged, decision=verdict, reason=reason)
        self.observers.epoch(record, record.epochs[row.epoch])
        self._settle()
        return verdict == "continue"

    def _costs(self, record: TrialRecord, row: EpochRow) -> dict[str, float]:
        """Cost → what it is after this epoch, of those that are objectives."""
        known = {**row.costs}
        if "seconds" in self.objectives:
            trial = replace(record, epochs={**record.epochs, row.epoch: {"seconds": row.seconds}})
            seconds = seconds_alone(trial, {**self.records, record.number: trial}.values())
            known["seconds"] = round(seconds / row.epoch, 4)
        return {name: known[name] for name in self.objectives[1:]}

    def _judged(self, metrics: Mapping[str, float], costs: Mapping[str, float]) -> Any:
        """What a rule compares: the metric, or with several objectives a vector of which less is better."""
        value = metrics[self.metric]
        return losses((value, *costs.values()), self.objectives) if costs else value

    def _settle(self) -> None:
        """Log what follows from epochs whose verdict is more than to continue."""
        for number, (status, reason) in list(self._unsettled.items()):
            if status == "waiting":
                self._pause(number, status, reason)
            else:
                self.end(number, status, reason)

    def end(self, number: int, status: str, reason: str) -> None:
        """Record a trial's end.

        Args:
            status: completed, early_stopped, pruned or failed.
            reason: why, for the user.
        """
        self._log("trial_ended", trial=number, status=status, reason=reason)
        self.observers.ended(self.records[number])

    def fail(self, number: int, error: str) -> None:
        """Record that a trial raised `error`, such as ``ValueError: …``: it has ended, and the search continues."""
        self.end(number, "failed", error)

    def lose(self, number: int, reason: str) -> None:
        """Record that a trial's worker is gone: the trial continues elsewhere, unless that happened too often."""
        if self.records[number].failures < self.max_failures:
            self._pause(number, "interrupted", reason)
        else:
            times = self.records[number].failures + 1
            self.end(number, "failed", reason if times == 1 else f"{reason}, {times} times")

    def _pause(self, number: int, status: str, reason: str) -> None:
        self._log("trial_paused", trial=number, status=status, reason=reason)
        self.observers.paused(self.records[number], reason)

    def start_session(
        self,
        overrides: Sequence[str] = (),
        began: float | None = None,
        earlier: Mapping[str, Any] | None = None,
    ) -> None:
        """Begin: observers are opened, and consequences of the last event that the last session did not log are logged.

        Args:
            overrides: the overrides of ``thaw resume``.
            began: when its command was given, in Unix seconds.
            earlier: fields of the event ``earlier_trials``, where the search learns from other runs and its log does
                not hold them yet.
        """
        self._log("session_started", overrides=list(overrides), **({} if began is None else {"began": round(began, 3)}))
        if earlier is not None:
            self._log("earlier_trials", **earlier)
        # First: before, they know no trial, and one of them removes checkpoints of trials that it does not know.
        self.observers.open(self.records)
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
        """Become the state that wrote these events, one of each line of the log; unknown ones have no effect.

        Raises:
            ConfigError: no search can have written one of them; the log is closed.
        """
        for line, event in enumerate(events, 1):
            if event["event"] not in EVENTS:
                continue
            try:
                self._apply(event)
            except Exception as error:
                self.events.close()
                # A log may hold anything, so this may be any error: of this state, a rule, or Optuna.
                raise ConfigError(
                    f"damaged event, or not one of this search: {type(error).__name__}: {str(error)[:200]}; {MEND_LOG}",
                    f"line {line}",
                    self.events.file,
                ) from None

    def _log(self, event: str, **fields: Any) -> None:
        self._apply(self.events.append(event, **fields))

    def _apply(self, event: dict[str, Any]) -> None:
        if event["event"] == "trial_started" and event["trial"] != len(self.records):
            raise ValueError(f"trial {event['trial']} starts, {len(self.records)} would be the next one")
        apply_event(self.records, event)
        record = self.records.get(event.get("trial", -1))
        self.proposer.apply(event, record)
        if record is None:
            return
        number = record.number
        if event["event"] == "epoch":
            judged = self._judged(event["metrics"], event.get("costs", {}))
            self.rule.note(record, event["epoch"], judged, event["decision"])
            decision, reason = event["decision"], event.get("reason", "")
            if decision != "continue":
                self._unsettled[number] = (FINISH[reason] if decision == "finish" else STOPPED[decision]), reason
            return
        self._unsettled.pop(number, None)
        if record.ended:
            self._open.pop(number, None)
        else:
            self._open[number] = record
        if event["event"] == "trial_continued" and event["reason"] == "promoted":
            self.rule.promoted(number)
