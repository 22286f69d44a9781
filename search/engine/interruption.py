"""Ending a search early: a signal, the time budget, or an event log that cannot be written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

TIME_BUDGET = "time_budget"


class SearchStopped(BaseException):
    """Ends a backend's loop at once. A BaseException, so that nothing on the way mistakes it for a trial's failure."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C outside of a session, which has been reported to the user."""


class LogUnwritable(Exception):
    """The event log can no longer be written, so the search stops: what is not logged has not happened."""


class RunStopped(Exception):
    """The search could not continue, but it can be resumed; the message says why."""


@dataclass
class StopRequest:
    """Whether the search should stop early, and why.

    Args:
        reason: a signal's name, or ``time_budget``.
        deadline: monotonic seconds.
    """

    reason: str = ""
    deadline: float | None = None
    _at_once: bool = False

    def ask(self, reason: str) -> None:
        """Request a stop, immediately if possible; also from a signal handler.

        Raises:
            SearchStopped: within :meth:`at_once`.
        """
        self.reason = self.reason or reason
        if self._at_once:
            raise SearchStopped(self.reason)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within, a request interrupts the work: only for work that leaves nothing half done, such as an epoch."""
        # In this order, so that no request falls between the two.
        self._at_once = True
        try:
            self.check()
            yield
        finally:
            self._at_once = False

    def check(self) -> None:
        """Raises SearchStopped if a stop was requested or the time is up."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = self.reason or TIME_BUDGET
        if self.reason:
            raise SearchStopped(self.reason)
