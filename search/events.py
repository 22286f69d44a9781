"""The event log: one JSON object a line, appended and flushed as it happens."""

from __future__ import annotations

import json
import time
from typing import Any

from analysis.run_folder import EVENT_VERSION, RunFolder


class EventLog:
    """Appends to ``events.jsonl`` of one run folder; only the driver writes.

    Args:
        folder: the run's folder.
        session: number of this session of the run, from 1.
    """

    def __init__(self, folder: RunFolder, session: int) -> None:
        self.session = session
        self._file = folder.events_file.open("a", encoding="utf-8")

    def append(self, event: str, **fields: Any) -> dict[str, Any]:
        """Write one event and return it."""
        line = {"v": EVENT_VERSION, "time": round(time.time(), 3), "session": self.session, "event": event, **fields}
        self._file.write(json.dumps(line, allow_nan=False, separators=(",", ":")) + "\n")
        self._file.flush()
        return line

    def close(self) -> None:
        self._file.close()
