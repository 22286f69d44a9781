"""Observers follow a search while it runs: the terminal, TensorBoard, tables, or a class of the user."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from traceback import TracebackException
from typing import Any

from thaw.analysis.records import TrialRecord


class Observer:
    """Called for every epoch, pause and end, after they are in the event log. Override the methods you need.

    An observer cannot disturb a search: if it raises an exception, it is dropped with one warning.

    ```python
    class Beep(Observer):
        def ended(self, record):
            print(f"\\a trial {record.number} {record.status}")

    run_search(config, observers=[Beep()])
    ```
    """

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        """A session begins; `records` (number → trial) holds the trials of earlier sessions, and is kept up to date."""

    def epoch(self, record: TrialRecord, event: Mapping[str, Any]) -> None:
        """A trial has finished an epoch; `event` is its line of the event log."""

    def paused(self, record: TrialRecord, reason: str) -> None:
        """A trial waits at a rung, or its worker was lost; it may continue later."""

    def ended(self, record: TrialRecord) -> None:
        """A trial has ended."""

    def close(self) -> None:
        """The session has ended, for whatever reason."""


class Observers:
    """Calls several observers in order. One that raises is dropped; the event log has all that it would have shown.

    Args:
        observers: in the order in which they are called.
        warn: called with a sentence for the user.
    """

    def __init__(self, observers: Sequence[Observer], warn: Callable[[str], None]) -> None:
        self._observers, self._warn = list(observers), warn

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        self._call(lambda observer: observer.open(records))

    def epoch(self, record: TrialRecord, event: Mapping[str, Any]) -> None:
        self._call(lambda observer: observer.epoch(record, event))

    def paused(self, record: TrialRecord, reason: str) -> None:
        self._call(lambda observer: observer.paused(record, reason))

    def ended(self, record: TrialRecord) -> None:
        self._call(lambda observer: observer.ended(record))

    def close(self) -> None:
        self._call(lambda observer: observer.close())

    def _call(self, call: Callable[[Observer], None]) -> None:
        for observer in list(self._observers):
            try:
                call(observer)
            except Exception as error:
                self._observers.remove(observer)
                # A user's exception may also fail when it is asked for its text.
                reason = str(TracebackException.from_exception(error)) or type(error).__name__
                self._warn(f"{type(observer).__name__} is left out from now on: {reason}")
