"""Keeps ``trials.csv`` and ``history.csv`` up to date while the search runs, but not more often than needed."""

from __future__ import annotations

import time
from collections.abc import Mapping

from thaw.analysis.run_folder import RunFolder
from thaw.analysis.tables import TrialRecord, history_table, trials_table
from thaw.search.engine.observers import Observer


class TableFiles(Observer):
    """Writes both tables when a trial ends, at most every few seconds; epochs appear with the next trial's end.

    Args:
        folder: the run folder.
        column: the objective's.
    """

    INTERVAL = 5.0

    def __init__(self, folder: RunFolder, column: str) -> None:
        self.folder, self.column = folder, column
        self.records: Mapping[int, TrialRecord] = {}
        self._written = 0.0

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        self.records = records

    def ended(self, record: TrialRecord) -> None:
        if time.monotonic() - self._written >= self.INTERVAL:
            self.close()

    def close(self) -> None:
        self.folder.write_table(self.folder.trials_file, trials_table(self.records.values(), self.column))
        self.folder.write_table(self.folder.history_file, history_table(self.records.values()))
        self._written = time.monotonic()
