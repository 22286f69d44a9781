"""Ending a search before its end: a signal, the time budget, or an event log that cannot be written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

TIME_BUDGET = "time_budget"


class SearchStopped(BaseException):
    """Ends a backend's loop at once. A BaseException, so that nothing on the way takes it for a trial's failure."""


class LogUnwritable(Exception):
    """The event log takes no more events, so the search stops: what is not logged did not happen."""


class RunStopped(Exception):
    """The search could not go on, though it can be resumed; says why."""


@dataclass
class StopRequest:
    """Why the search is to stop before its end, if it is.

    Args:
        reason: a signal's name, or ``time_budget``.
        deadline: monotonic seconds.
    """

    reason: str = ""
    deadline: float | None = None
    _at_once: bool = False

    def ask(self, reason: str) -> None:
        """Ask for a stop, at once where that is possible; from a signal's handler, too.

        Raises:
            SearchStopped: within :meth:`at_once`.
        """
        self.reason = self.reason or reason
        if self._at_once:
            raise SearchStopped(self.reason)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within, a request interrupts what runs: only around work that leaves nothing half done, such as an epoch."""
        self.check()
        self._at_once = True
        try:
            yield
        finally:
            self._at_once = False

    def check(self) -> None:
        """Raises SearchStopped where a stop was asked for or the time is over."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = self.reason or TIME_BUDGET
        if self.reason:
            raise SearchStopped(self.reason)
