"""Observers show or keep the search while it runs; here also the one that keeps the tables."""

from __future__ import annotations

import time
from typing import Any, Protocol

from analysis.run_folder import RunFolder
from analysis.tables import TrialRecord, history_table, trials_table


class Observer(Protocol):
    """Told of every epoch and every end, after the event log."""

    def epoch(self, record: TrialRecord, row: dict[str, Any]) -> None: ...
    def ended(self, record: TrialRecord) -> None: ...
    def close(self) -> None: ...


class TableFiles:
    """Keeps ``trials.csv`` and ``history.csv`` up to date while the search runs, but not more often than needed."""

    INTERVAL = 5.0

    def __init__(self, folder: RunFolder, column: str, records: dict[int, TrialRecord]) -> None:
        self.folder, self.column, self.records = folder, column, records
        self._written = 0.0

    def epoch(self, record: TrialRecord, row: dict[str, Any]) -> None:
        """Epochs appear with the next trial's end."""

    def ended(self, record: TrialRecord) -> None:
        if time.monotonic() - self._written >= self.INTERVAL:
            self.close()

    def close(self) -> None:
        self.folder.write_table(self.folder.trials_file, trials_table(self.records.values(), self.column))
        self.folder.write_table(self.folder.history_file, history_table(self.records.values()))
        self._written = time.monotonic()
