"""The run's tables, made from its events: one row a trial, and one row a trial and epoch."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from thaw.spaces import METRICS, TrialConfig, best_epoch, metric
from thaw.spaces.metrics import PREFIXES

COLUMNS = tuple(prefix + name for prefix in PREFIXES for name in METRICS)
"""The metrics' columns, in every table whether or not an epoch was finished."""

FINISHED = ("completed", "early_stopped", "pruned")
"""Statuses of trials that ended as they should; only these can be the best."""

ENDED = (*FINISHED, "failed")
"""Statuses of trials that are over; the others may go on."""


@dataclass
class TrialRecord:
    """What the events say of one trial.

    Args:
        number, config: of the trial.
        status: running, waiting, completed, early_stopped, pruned, failed or interrupted.
        started, ended_at: Unix seconds; 0 before it has ended.
        failures: how often its worker was lost.
        error: why it failed, or empty.
        parameters: trained ones; None before the first epoch.
        fold: what it validates on in a confirmation; None in a search.
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
        """Epoch → value of `metric`."""
        return {epoch: row["metrics"][metric] for epoch, row in self.epochs.items()}

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def seconds(self) -> float:
        return sum(sum(row["seconds"].values()) for row in self.epochs.values())


def apply_event(records: dict[int, TrialRecord], event: dict[str, Any]) -> None:
    """Bring the records up to date with one more event; see ``docs/architecture.md`` for the events."""
    match event["event"]:
        case "session_started" | "session_ended":
            # A start without an end, in a session that is over, is an interrupted trial.
            for record in records.values():
                if record.status == "running":
                    record.status = "interrupted"
        case "trial_started":
            number, config, fold = event["trial"], event["config"], event.get("fold")
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


def trials_table(records: Iterable[TrialRecord], metric: str) -> pd.DataFrame:
    """One row a trial.

    Columns: trial, status, every hyperparameter, best_epoch and its metrics (``val_map`` …), last_epoch, seconds
    (of training and validation), parameters (trained ones), error.
    """
    rows = []
    for record in records:
        row: dict[str, Any] = {"trial": record.number, "status": record.status, **record.config}
        if record.epochs:
            best = best_epoch(record.values(metric), metric)
            row |= {"best_epoch": best, **record.epochs[best]["metrics"], "last_epoch": max(record.epochs)}
        row |= {"seconds": round(record.seconds, 3), "parameters": record.parameters, "error": record.error}
        rows.append(row)
    columns = ["trial", "status", *TrialConfig.model_fields, "best_epoch", *COLUMNS]
    table = pd.DataFrame(rows, columns=[*columns, "last_epoch", "seconds", "parameters", "error"])
    whole = ["best_epoch", "last_epoch", "parameters"]
    return table.astype({name: "Int64" for name in whole}).sort_values("trial", ignore_index=True)


def history_table(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """One row a trial and epoch: metrics, learning rate, gradient norm, and seconds by phase (``seconds_train`` …)."""
    rows = [
        {
            "trial": record.number,
            "epoch": epoch,
            **row["metrics"],
            "learning_rate": row["learning_rate"],
            "gradient_norm": row["gradient_norm"],
            **{f"seconds_{phase}": value for phase, value in row["seconds"].items()},
        }
        for record in records
        for epoch, row in record.epochs.items()
    ]
    columns = list(rows[0]) if rows else ["trial", "epoch", *COLUMNS, "learning_rate", "gradient_norm"]
    table = pd.DataFrame(rows, columns=columns)
    return table.sort_values(["trial", "epoch"], ignore_index=True)


def ranking(records: Iterable[TrialRecord], column: str, statuses: Sequence[str] = FINISHED) -> list[TrialRecord]:
    """The finished trials by the value at their best epoch, best first, the lower number first of equals."""
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
