"""Schemas of the event log, and the order in which its events may stand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from thaw.analysis.records import Ended, Finished
from thaw.analysis.shapes import Config, Figure, Finite, Moment, Parameters, Whole, check, strict

EVENT_VERSION = 1


@strict
class Event(TypedDict):
    time: Moment
    session: Annotated[Whole, Field(ge=1)]


class SessionStarted(Event):
    began: NotRequired[Moment]


class SessionEnded(Event):
    reason: str


@strict
class EarlierRun(TypedDict):
    name: str
    path: str
    trials: Whole
    known: Whole
    left_out: dict[str, Whole]


@strict
class EarlierTrial(TypedDict):
    run: Whole
    number: Whole
    config: Config
    status: Finished
    values: Annotated[list[Finite], Field(min_length=1)]


class EarlierTrials(Event):
    runs: list[EarlierRun]
    trials: list[EarlierTrial]


class TrialEvent(Event):
    trial: Whole


class TrialStarted(TrialEvent):
    config: Config
    distributions: NotRequired[dict[str, dict[str, Any]]]
    fold: NotRequired[dict[str, Whole] | None]
    reason: NotRequired[str]


class TrialContinued(TrialEvent):
    reason: str


class TrialPaused(TrialEvent):
    status: Literal["waiting", "interrupted"]
    reason: str


class TrialEnded(TrialEvent):
    status: Ended
    reason: str


class Epoch(TrialEvent):
    epoch: Annotated[Whole, Field(ge=1)]
    metrics: dict[str, Figure]
    seconds: dict[str, Finite]
    parameters: Parameters
    learning_rate: float
    gradient_norm: NotRequired[Figure]
    label_ap: NotRequired[list[Figure]]
    costs: NotRequired[dict[str, Finite]]
    worker: NotRequired[str]
    decision: NotRequired[str]
    reason: NotRequired[str]
    warning: NotRequired[str]


EVENTS: dict[str, TypeAdapter[Any]] = {
    "session_started": TypeAdapter(SessionStarted),
    "session_ended": TypeAdapter(SessionEnded),
    "earlier_trials": TypeAdapter(EarlierTrials),
    "trial_started": TypeAdapter(TrialStarted),
    "trial_continued": TypeAdapter(TrialContinued),
    "trial_paused": TypeAdapter(TrialPaused),
    "trial_ended": TypeAdapter(TrialEnded),
    "epoch": TypeAdapter(Epoch),
}
"""Event name → its fields. Events with other names are accepted."""
OTHER = TypeAdapter(Event)


def checked(events: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """Yield each event after checking its fields and that it can follow those before it.

    Raises:
        ValueError: the next event is invalid; the message says why, but not where.
    """
    last: dict[int, int] = {}
    over: set[int] = set()
    for event in events:
        _check_event(event)
        name, trial = event["event"], event.get("trial")
        if name == "trial_started":
            if trial in last:
                raise ValueError(f"trial {trial} starts twice")
            last[trial] = 0
        elif name.startswith("trial_") or name == "epoch":
            if trial not in last or trial in over:
                raise ValueError(
                    f"{name} of trial {trial}, which {'has ended' if trial in over else 'has not started'}"
                )
            if name == "epoch" and event["epoch"] > last[trial] + 1:
                raise ValueError(f"epoch {event['epoch']} of trial {trial} follows epoch {last[trial]}")
            if event.get("status") == "waiting" and not last[trial]:
                raise ValueError(f"trial {trial} waits before its first epoch")
            if name == "epoch":
                last[trial] = max(last[trial], event["epoch"])
            elif name == "trial_ended":
                over.add(trial)
        yield event


def _check_event(event: Any) -> None:
    if not isinstance(event, dict) or not isinstance(event.get("event"), str):
        raise ValueError(f"must be an object with the name of an event, got {event!r:.60}")
    version = event.get("v", EVENT_VERSION)
    if version != EVENT_VERSION:
        raise ValueError(f"its version v must be {EVENT_VERSION}, got {version!r:.40}; a newer Thaw may read it")
    check(EVENTS.get(event["event"], OTHER), event)
