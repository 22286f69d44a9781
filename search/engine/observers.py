"""Observers show or keep the search while it runs; here also the one that keeps the tables."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

from thaw.analysis.records import TrialRecord
from thaw.analysis.run_folder import RunFolder
from thaw.analysis.tables import history_table, trials_table


class Observer(Protocol):
    """Told of every epoch, pause and end, after the event log."""

    def epoch(self, record: TrialRecord, row: dict[str, Any]) -> None: ...
    def paused(self, record: TrialRecord, reason: str) -> None: ...
    def ended(self, record: TrialRecord) -> None: ...
    def close(self) -> None: ...


class Watchers:
    """Tells several observers. One that cannot write is told no more: what it would show is in the event log.

    Args:
        observers: in the order in which they are told.
        warn: called with a sentence for the user.
    """

    def __init__(self, observers: list[Observer], warn: Callable[[str], None]) -> None:
        self._observers, self._warn = observers, warn

    def epoch(self, record: TrialRecord, row: dict[str, Any]) -> None:
        self._tell(lambda observer: observer.epoch(record, row))

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
            except OSError as error:
                self._observers.remove(observer)
                self._warn(f"{type(observer).__name__} cannot be kept up to date: {error}")


class TableFiles:
    """Keeps ``trials.csv`` and ``history.csv`` up to date while the search runs, but not more often than needed."""

    INTERVAL = 5.0

    def __init__(self, folder: RunFolder, column: str, records: dict[int, TrialRecord]) -> None:
        self.folder, self.column, self.records = folder, column, records
        self._written = 0.0

    def epoch(self, record: TrialRecord, row: dict[str, Any]) -> None:
        """Epochs appear with the next trial's end."""

    def paused(self, record: TrialRecord, reason: str) -> None:
        """So do pauses."""

    def ended(self, record: TrialRecord) -> None:
        if time.monotonic() - self._written >= self.INTERVAL:
            self.close()

    def close(self) -> None:
        self.folder.write_table(self.folder.trials_file, trials_table(self.records.values(), self.column))
        self.folder.write_table(self.folder.history_file, history_table(self.records.values()))
        self._written = time.monotonic()
