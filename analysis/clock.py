"""The search time elapsed at an event; pauses between sessions are excluded."""

from __future__ import annotations

from typing import Any


class Clock:
    """Receives all events of a run in order. A session that was killed lasts until its last event."""

    def __init__(self) -> None:
        self._sessions: dict[int, tuple[float, float]] = {}

    def see(self, event: dict[str, Any]) -> None:
        first, _ = self._sessions.get(event["session"], (event["time"], 0.0))
        self._sessions[event["session"]] = (first, event["time"])

    def seconds(self, event: dict[str, Any]) -> float:
        """Seconds of search time before an event of this run."""
        return event["time"] - self._sessions[event["session"]][0] + self._before(event["session"])

    @property
    def total(self) -> float:
        """Seconds of search time in all sessions."""
        return sum(last - first for first, last in self._sessions.values())

    def _before(self, session: int) -> float:
        return sum(last - first for number, (first, last) in self._sessions.items() if number < session)
