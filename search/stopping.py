"""Ending a search before its end: a signal, the time budget, or an event log that cannot be written."""

from __future__ import annotations

import time
from dataclasses import dataclass


class SearchStopped(BaseException):
    """Ends Tune's loop at once. A BaseException, so that nothing on the way takes it for a trial's failure."""


class RunStopped(Exception):
    """The search could not go on, though it can be resumed; says why."""


@dataclass
class StopRequest:
    """Why the search is to stop before its end, if it is: a signal's name, or ``time_budget``."""

    reason: str = ""
    deadline: float | None = None

    def check(self) -> None:
        """Raises SearchStopped where a stop was asked for or the time (monotonic seconds) is over."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = self.reason or "time_budget"
        if self.reason:
            raise SearchStopped(self.reason)
