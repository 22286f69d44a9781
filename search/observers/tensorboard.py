"""TensorBoard: one run per trial, with curated scalars and HParams that hold the best values."""

from __future__ import annotations

import itertools
import os
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter
from torch.utils.tensorboard.summary import hparams

from thaw.analysis.records import ENDED, TrialRecord
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.observers import Observer
from thaw.spaces import METRICS, SearchSpace, best_epoch

_NUMBERS = itertools.count()


class EventFile:
    """The event file of one run, written by the caller itself.

    torch's ``SummaryWriter`` starts a thread for each file and waits for it at each flush, which is most of what the
    search itself spends on a trial.

    Args:
        folder: folder of the run, created if necessary. An existing file there is continued in another file next to it.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}.{next(_NUMBERS)}"
        self._records = RecordWriter((folder / name).open("wb"))
        self._write(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def scalars(self, values: Mapping[str, float], step: int, moment: float) -> None:
        """Write the values of one step; `moment` is their time in Unix seconds."""
        summary = Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])
        self.summary(summary, moment, step)

    def summary(self, summary: Summary, moment: float, step: int = 0) -> None:
        self._write(Event(wall_time=moment, step=step, summary=summary))

    def close(self) -> None:
        self._records.close()

    def _write(self, event: Event) -> None:
        self._records.write(event.SerializeToString())
        self._records.flush()


STATUS = "→ status"
"""The column of how a trial ended. HParams shows five columns at first, by name, and an arrow follows all letters."""


class TensorBoard(Observer):
    """Writes while the search runs.

    Scalars are grouped by metric, so that training and validation appear side by side: ``map/val``, ``map/train``. The
    HParams columns are the searched hyperparameters, with one type each for all trials, numbers as floats, and how the
    trial ended. The metrics next to them are those of the best epoch, not of the last: the objective first, further
    objectives as ``cost/…`` at the end.
    """

    def __init__(self, folder: RunFolder, metric: str, space: SearchSpace) -> None:
        self.folder, self.metric, self.searched = folder, metric, list(space.parameters)
        # TensorBoard filters by the texts that there may be.
        self._texts = {name: [text for text in space.options(name) if isinstance(text, str)] for name in self.searched}
        self._files: dict[int, EventFile] = {}

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        """Rewrite all runs: in an earlier session, some of it may have failed to be written."""
        shutil.rmtree(self.folder.tensorboard, ignore_errors=True)
        for record in records.values():
            for row in record.epochs.values():
                self.epoch(record, row)
            if record.ended:
                self.ended(record)
            else:
                self.paused(record, "")

    def epoch(self, record: TrialRecord, event: Mapping[str, Any]) -> None:
        values = {"learning_rate": event["learning_rate"], "gradient_norm": event.get("gradient_norm")}
        for column, value in event["metrics"].items():
            split, name = column.split("_", 1)
            values[f"{name}/{split}"] = value
        values |= {f"seconds/{phase}": seconds for phase, seconds in event["seconds"].items()}
        self._file(record.number).scalars(values, event["epoch"], event["time"])

    def paused(self, record: TrialRecord, reason: str) -> None:
        """Close the file, as many trials may wait at a time; the trial continues in another file of its run."""
        if record.number in self._files:
            self._files.pop(record.number).close()

    def ended(self, record: TrialRecord) -> None:
        file = self._file(record.number)
        values = record.values(self.metric)
        best = best_epoch(values, self.metric) if values else 0
        metrics = record.epochs[best]["metrics"] if values else {}
        # A trial that failed before its first epoch has no values; TensorBoard shows its row with empty cells.
        names = sorted(METRICS, key=lambda name: f"val_{name}" != self.metric)
        shown = {f"best/{name}": metrics[f"val_{name}"] for name in names if f"val_{name}" in metrics}
        shown |= (
            {f"cost/{name}": value for name, value in record.epochs[best].get("costs", {}).items()} if values else {}
        )
        # A hyperparameter that is switched off, or that an earlier version did not have, is an empty cell.
        given = {name: record.config.get(name) for name in self.searched}
        hyperparameters = {name: _one_type(value) for name, value in given.items() if value is not None}
        texts = {name: self._texts[name] for name, value in hyperparameters.items() if isinstance(value, str)}
        domains = {**texts, STATUS: list(ENDED)}
        for summary in hparams({**hyperparameters, STATUS: record.status}, shown, domains):
            file.summary(summary, record.ended_at)
        file.scalars(shown, best, record.ended_at)
        self._files.pop(record.number).close()

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()

    def _file(self, number: int) -> EventFile:
        if number not in self._files:
            self._files[number] = EventFile(self.folder.tensorboard_run(number))
        return self._files[number]


def _one_type(value: Any) -> float | str:
    return value if isinstance(value, str) else float(value)
