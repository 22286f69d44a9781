"""Trial records rebuilt from the events of a run, and their ranking."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from thaw.spaces import best_epoch, metric
from thaw.spaces.trial import ADDED, default

Finished = Literal["completed", "early_stopped", "pruned"]

FINISHED: tuple[str, ...] = get_args(Finished)
"""Statuses of trials that ended normally; only these can be the best."""

Ended = Literal[Finished, "failed"]

ENDED: tuple[str, ...] = get_args(Ended)
"""Statuses of trials that have ended; the others may continue."""


@dataclass
class TrialRecord:
    """The state of one trial according to the events.

    Args:
        number, config: the trial's number and configuration.
        status: running, waiting, completed, early_stopped, pruned, failed or interrupted.
        started, ended_at: Unix seconds; `ended_at` is 0 before the end.
        failures: how many times its worker was lost.
        error: why it failed; empty otherwise.
        parameters: number of trained parameters; None before the first epoch.
        fold: the fold it is validated on in a confirmation; None in a search.
        epochs: epoch → its event.
    """

    number: int
    config: dict[str, Any]
    status: str = "running"
    started: float = 0.0
    ended_at: float = 0.0
    failures: int = 0
    error: str = ""
    parameters: int | None = None
    fold: dict[str, int] | None = None
    epochs: dict[int, dict[str, Any]] = field(default_factory=dict)

    def values(self, metric: str) -> dict[int, float]:
        """Epoch → value of the column `metric`; NaN if the epoch has none."""
        found = {epoch: row["metrics"].get(metric) for epoch, row in self.epochs.items()}
        return {epoch: math.nan if value is None else value for epoch, value in found.items()}

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def seconds(self) -> float:
        """Total over all phases and epochs, including shared activations; see :mod:`thaw.analysis.cost`."""
        return sum(sum(row["seconds"].values()) for row in self.epochs.values())


def apply_event(records: dict[int, TrialRecord], event: dict[str, Any]) -> None:
    """Update the records with one event; see ``docs/architecture.md`` for the events."""
    match event["event"]:
        case "session_started" | "session_ended":
            # A trial that started in a session that is over, but did not end, was interrupted.
            for record in records.values():
                if record.status == "running":
                    record.status = "interrupted"
        case "trial_started":
            # Thaw 0.1.0 trained with what are now the defaults of hyperparameters added since.
            config = dict(event["config"])
            for name in ADDED:
                config.setdefault(name, default(name))
            number, fold = event["trial"], event.get("fold")
            records[number] = TrialRecord(number, config, started=event.get("time", 0.0), fold=fold)
        case "trial_paused":
            record = records[event["trial"]]
            record.status = event["status"]
            record.failures += event["status"] == "interrupted"
        case "trial_continued":
            records[event["trial"]].status = "running"
        case "epoch":
            # Keyed by epoch: a repeated epoch replaces the earlier attempt and never doubles a row.
            record = records[event["trial"]]
            record.epochs[event["epoch"]] = event
            record.parameters = event["parameters"]
        case "trial_ended":
            record = records[event["trial"]]
            record.status, record.ended_at = event["status"], event.get("time", 0.0)
            record.error = event["reason"] if event["status"] == "failed" else ""


def trial_records(events: Iterable[dict[str, Any]]) -> dict[int, TrialRecord]:
    """Number → record, from all events of a run."""
    records: dict[int, TrialRecord] = {}
    for event in events:
        apply_event(records, event)
    return records


def ranking(records: Iterable[TrialRecord], column: str, statuses: Sequence[str] = FINISHED) -> list[TrialRecord]:
    """The trials with one of `statuses` by the value at their best epoch, best first; ties by lower number."""
    finished = sorted((r for r in records if r.status in statuses and r.epochs), key=lambda record: record.number)
    sign = -1.0 if metric(column).maximize else 1.0

    def key(record: TrialRecord) -> float:
        values = record.values(column)
        value = sign * values[best_epoch(values, column)]
        return math.inf if math.isnan(value) else value

    return sorted(finished, key=key)


def best_record(records: Iterable[TrialRecord], column: str) -> TrialRecord | None:
    """The first of :func:`ranking`; None if no trial has finished."""
    return next(iter(ranking(records, column)), None)
