"""The event log: one JSON object per line, written immediately."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable
from typing import Any

from thaw.analysis.event_shapes import EVENT_VERSION
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.interruption import LogUnwritable
from thaw.spaces.json_values import storable


class EventLog:
    """Appends to ``events.jsonl`` of one run folder; only the driver writes.

    A last line cut short by a crash is removed first.

    Args:
        folder: the run's folder.
        session: number of this session of the run, from 1.
    """

    def __init__(self, folder: RunFolder, session: int) -> None:
        self.file, self.session = folder.events_file, session
        self.writable = True
        # No Python buffer: a line that could not be written must not appear later, when the disk has room again.
        self._log = os.open(self.file, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        self._size = whole_lines(self._log)
        os.ftruncate(self._log, self._size)

    def append(self, event: str, **fields: Any) -> dict[str, Any]:
        """Write one event and return it as it is in the log, see :func:`thaw.spaces.json_values.storable`.

        Raises:
            LogUnwritable: it cannot be written; the log ends with the previous event.
        """
        line = {"v": EVENT_VERSION, "time": round(time.time(), 3), "session": self.session, "event": event, **fields}
        line = storable(line)
        data = (json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n").encode()
        try:
            if not self.writable:
                raise OSError("an earlier event could not be written")
            rest = data
            while rest:
                rest = rest[os.write(self._log, rest) :]
        except OSError as error:
            self.writable = False
            # What was written of this line; if it stays, it is cut off when the run is resumed.
            with contextlib.suppress(OSError):
                os.ftruncate(self._log, self._size)
            raise LogUnwritable(f"{self.file} cannot be written: {error.strerror or error}") from None
        self._size += len(data)
        return line

    def close(self) -> None:
        os.close(self._log)


def whole_lines(descriptor: int) -> int:
    """Bytes of a file up to the end of its last complete line."""
    size = os.fstat(descriptor).st_size
    while size:
        start = max(0, size - 65536)
        end = os.pread(descriptor, size - start, start).rfind(b"\n")
        if end >= 0:
            return start + end + 1
        size = start
    return 0


def seconds_used(events: Iterable[dict[str, Any]]) -> float:
    """Seconds of search time in all sessions; a killed session counts up to its last event."""
    return sum(max(0.0, last["time"] - first["time"]) for first, last in _sessions(events))


def seconds_waited(events: Iterable[dict[str, Any]]) -> float:
    """The user's waiting time: like :func:`seconds_used`, but from the start of each command, with preparations."""
    return sum(max(0.0, last["time"] - first.get("began", first["time"])) for first, last in _sessions(events))


def _sessions(events: Iterable[dict[str, Any]]) -> Iterable[tuple[dict[str, Any], dict[str, Any]]]:
    """(first event, last event) of each session."""
    first: dict[int, dict[str, Any]] = {}
    last: dict[int, dict[str, Any]] = {}
    for event in events:
        first.setdefault(event["session"], event)
        last[event["session"]] = event
    return zip(first.values(), last.values(), strict=True)
