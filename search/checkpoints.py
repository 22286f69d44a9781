"""Which checkpoints stay: those of the best trials, within a budget. The driver decides, as it knows all trials."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path
from typing import Any

from analysis.run_folder import RunFolder
from analysis.tables import TrialRecord, ranking
from search.config import CheckpointsConfig


class CheckpointKeeper:
    """Removes what is needed no more whenever a trial ends. Metrics and events stay.

    A trial that has not ended keeps all it has, and the budget counts that first.

    Args:
        folder: the run's folder.
        limits: how many trials keep their best weights, and how many bytes all checkpoints may take.
        column: the objective's.
        records: the search's records, kept up to date by the search.
    """

    def __init__(
        self, folder: RunFolder, limits: CheckpointsConfig, column: str, records: dict[int, TrialRecord]
    ) -> None:
        self.folder, self.limits, self.column, self.records = folder, limits, column, records

    def epoch(self, record: TrialRecord, row: dict[str, Any]) -> None:
        """The worker writes."""

    def ended(self, record: TrialRecord) -> None:
        self.tidy()

    def close(self) -> None:
        self.tidy()

    def tidy(self) -> None:
        """Bring the folder in line with the records."""
        if not self.folder.checkpoints.is_dir():
            return
        ended, left = [], self.limits.budget
        for place in self.folder.checkpoints.iterdir():
            record = self.records[int(place.name)]
            if record.ended:
                ended.append(record)
            else:
                left -= _size(place)
        kept = ranking(ended, self.column)[: self.limits.keep]
        for record in ended:
            # `last`, and what a killed worker left half written.
            for file in self.folder.checkpoint(record.number).iterdir():
                if file != self.folder.best_file(record.number):
                    file.unlink()
        for record in kept:
            size = _size(self.folder.checkpoint(record.number))
            if size <= left:
                left -= size
                ended.remove(record)
        for record in ended:
            shutil.rmtree(self.folder.checkpoint(record.number), ignore_errors=True)


def _size(place: Path) -> int:
    """Bytes in a folder in which a worker may be writing."""
    total = 0
    for file in place.iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total
