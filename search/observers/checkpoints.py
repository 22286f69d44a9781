"""Which checkpoints are kept: those of the best trials, within a budget. The driver decides, as it knows all trials."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Mapping
from pathlib import Path

from thaw.analysis.records import TrialRecord, ranking
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.observers import Observer
from thaw.search.settings.schema import CheckpointsConfig


class CheckpointKeeper(Observer):
    """Removes checkpoints no longer needed whenever a trial ends. Metrics and events are kept.

    The budget counts first what running and interrupted trials need, then the best weights of the leaders, then what
    waiting trials need to continue. A waiting trial that has lost its checkpoint starts again if it is promoted.

    Args:
        folder: the run folder.
        limits: how many trials keep their best weights, and how many bytes all checkpoints may take.
        column: the objective's.
    """

    def __init__(self, folder: RunFolder, limits: CheckpointsConfig, column: str) -> None:
        self.folder, self.limits, self.column = folder, limits, column
        self.records: Mapping[int, TrialRecord] = {}
        self._final: dict[int, int] = {}  # trial that has ended → bytes, which stay

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        self.records = records

    def ended(self, record: TrialRecord) -> None:
        self.tidy()

    def close(self) -> None:
        # All folders are checked once more: an abandoned worker may have written after its trial's end.
        self._final.clear()
        self.tidy()

    def tidy(self) -> None:
        """Bring the folder in line with the records."""
        if not self.folder.checkpoints.is_dir():
            return
        sizes: dict[int, int] = {}
        for place in self.folder.checkpoints.iterdir():
            record = self.records.get(int(place.name)) if place.name.isdecimal() else None
            if record is None:
                # Of a trial whose start was lost from the log when the whole machine crashed.
                shutil.rmtree(place, ignore_errors=True)
                continue
            if not record.ended:
                sizes[record.number] = _size(place)
                continue
            if record.number not in self._final:
                self._remove_last(record.number)
                self._final[record.number] = _size(place)
            sizes[record.number] = self._final[record.number]
        there = [self.records[number] for number in sizes]
        may_go = [record for record in there if record.ended or record.status == "waiting"]
        left = self.limits.budget - sum(sizes[record.number] for record in there if record not in may_go)
        leaders = ranking(there, self.column)[: self.limits.keep]
        for record in [*leaders, *ranking(there, self.column, ("waiting",))]:
            if sizes[record.number] <= left:
                left -= sizes[record.number]
                may_go.remove(record)
        for record in may_go:
            shutil.rmtree(self.folder.checkpoint(record.number), ignore_errors=True)

    def _remove_last(self, number: int) -> None:
        """All but the best weights: what the trial would need to continue, and incomplete files of a killed worker."""
        for file in self.folder.checkpoint(number).iterdir():
            if file != self.folder.best_file(number):
                file.unlink(missing_ok=True)


def _size(place: Path) -> int:
    """Bytes in a folder in which a worker may be writing."""
    total = 0
    for file in place.iterdir():
        with contextlib.suppress(FileNotFoundError):
            total += file.stat().st_size
    return total
