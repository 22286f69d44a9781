"""Who else hears of a search while it runs: the terminal, TensorBoard, tables, trackers, or the user's own class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from thaw.analysis.records import TrialRecord


class Observer:
    """Hears of every epoch, pause and end, after the event log has them. Override what you need.

    An observer only listens: whatever it raises drops it with one warning, and the search goes on.

    ```python
    class Beep(Observer):
        def ended(self, record):
            print(f"\\a trial {record.number} {record.status}")

    run_search(config, observers=[Beep()])
    ```
    """

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        """A session begins; `records` (number → trial) holds what former ones did, and is kept up to date."""

    def epoch(self, record: TrialRecord, event: Mapping[str, Any]) -> None:
        """A trial has finished an epoch; `event` is its line of the event log."""

    def paused(self, record: TrialRecord, reason: str) -> None:
        """A trial waits at a rung, or its worker was lost; it may go on later."""

    def ended(self, record: TrialRecord) -> None:
        """A trial is over."""

    def close(self) -> None:
        """The session is over, however it ended."""


class Observers:
    """Tells several observers, in their order; one that raises is dropped, as all it would show is in the event log.

    Args:
        observers: called one after another.
        warn: called with a sentence for the user.
    """

    def __init__(self, observers: Sequence[Observer], warn: Callable[[str], None]) -> None:
        self._observers, self._warn = list(observers), warn

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        self._tell(lambda observer: observer.open(records))

    def epoch(self, record: TrialRecord, event: Mapping[str, Any]) -> None:
        self._tell(lambda observer: observer.epoch(record, event))

    def paused(self, record: TrialRecord, reason: str) -> None:
        self._tell(lambda observer: observer.paused(record, reason))

    def ended(self, record: TrialRecord) -> None:
        self._tell(lambda observer: observer.ended(record))

    def close(self) -> None:
        self._tell(lambda observer: observer.close())

    def _tell(self, call: Callable[[Observer], None]) -> None:
        for observer in list(self._observers):
            try:
                call(observer)
            except Exception as error:
                self._observers.remove(observer)
                reason = str(error) or type(error).__name__
                self._warn(f"{type(observer).__name__} is left out from now on: {reason}")
