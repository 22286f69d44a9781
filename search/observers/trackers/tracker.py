"""Tracker: reports a search to a service from a separate thread, so that no connection can delay the search."""

from __future__ import annotations

import copy
import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from thaw.analysis.records import TrialRecord
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.observers import Observer
from thaw.spaces import best_epoch

PATIENCE = 30.0
"""Seconds at the end of a session in which a service may still receive what is queued."""

SENDING = 600.0
"""Seconds in which it may take a model."""


class Tracker(Observer):
    """Queues events and reports them in order. Its first error ends only the tracker, with one warning.

    A subclass overrides ``connect``, ``begin``, ``row``, ``end``, ``finish``, ``keep`` and ``disconnect``, which run
    in the thread.

    Args:
        folder: the run folder.
        metric: the objective's column.
        searched: the searched hyperparameters.
    """

    def __init__(self, folder: RunFolder, metric: str, searched: Sequence[str]) -> None:
        self.folder, self.metric, self.searched = folder, metric, list(searched)
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=type(self).__name__, daemon=True)
        self._error: Exception | None = None
        self._answered = threading.Event()

    @classmethod
    def check(cls) -> None:
        """Check whether the service can be reached at all, before anything starts.

        Raises:
            ConfigError: it cannot.
        """

    @property
    def identity(self) -> str:
        """Identifies the run wherever its folder is, and no other run that had the same folder before."""
        first = next(self.folder.events())
        return hashlib.blake2b(f"{self.folder.path.name} {first['time']}".encode(), digest_size=8).hexdigest()

    def connect(self) -> None:
        """Find the run of the whole search, or create it."""
        raise NotImplementedError

    def begin(self, records: Mapping[int, TrialRecord]) -> None:
        """A session begins; `records` hold what former ones did. The service may have missed some of it."""
        raise NotImplementedError

    def row(self, record: TrialRecord, epoch: int, values: dict[str, float]) -> None:
        """An epoch's values by column."""
        raise NotImplementedError

    def end(self, record: TrialRecord) -> None:
        """A trial has ended."""
        raise NotImplementedError

    def finish(self) -> None:
        """The session has ended."""
        raise NotImplementedError

    def keep(self, kind: str, place: Path) -> None:
        """Keep a file, or a folder of files, with the run of the whole search.

        Args:
            kind: what it is: ``report`` or ``model``.
        """
        raise NotImplementedError

    def disconnect(self) -> None:
        """After :meth:`keep`, without a session."""

    def send(self, kind: str, place: Path) -> None:
        """Keep a file or folder with the run, between sessions.

        Raises:
            Exception: whatever the service raises.
        """
        self._start([self.connect, self._answered.set, lambda: self.keep(kind, place), self.disconnect])
        if not self._answered.wait(PATIENCE):
            raise TimeoutError(f"it has not answered within {PATIENCE:.0f} s")
        self._wait(SENDING)

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        past = copy.deepcopy(dict(records))
        self._start([self.connect, lambda: self.begin(past)])

    def epoch(self, record: TrialRecord, event: Mapping[str, Any]) -> None:
        now, values = _still(record), row_values(event)
        self._tell(lambda: self.row(now, event["epoch"], values))

    def ended(self, record: TrialRecord) -> None:
        now = _still(record)
        self._tell(lambda: self.end(now))

    def close(self) -> None:
        self._tell(self.finish)
        self._wait(PATIENCE)

    def best(self, record: TrialRecord) -> dict[str, float]:
        """The validation metrics of a trial's best epoch; empty if it has none."""
        values = record.values(self.metric)
        return row_values(record.epochs[best_epoch(values, self.metric)]) if values else {}

    def _start(self, calls: Sequence[Callable[[], None]]) -> None:
        for call in calls:
            self._queue.put(call)
        self._thread.start()

    def _wait(self, patience: float) -> None:
        self._queue.put(None)
        self._thread.join(patience)
        if self._thread.is_alive():
            raise TimeoutError(f"it has not accepted everything within {patience:.0f} s")
        self._raise()

    def _tell(self, call: Callable[[], None]) -> None:
        self._raise()
        self._queue.put(call)

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        try:
            while (call := self._queue.get()) is not None:
                call()
        except Exception as error:
            # Raised at the search's next event, which drops this observer.
            self._error = error
            self._answered.set()


def row_values(event: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch's event."""
    values = {name: value for name, value in event["metrics"].items() if value is not None}
    seconds = {f"seconds_{phase}": value for phase, value in event["seconds"].items()}
    return {**values, "learning_rate": event["learning_rate"], **seconds}


def _still(record: TrialRecord) -> TrialRecord:
    """A record that does not change while it waits in the queue; the rows themselves never do."""
    now = copy.copy(record)
    now.epochs = dict(record.epochs)
    return now
