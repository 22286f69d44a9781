"""Ending a search before its end: a signal, the time budget, or an event log that cannot be written."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class SearchStopped(BaseException):
    """Ends Tune's loop at once. A BaseException, so that nothing on the way takes it for a trial's failure."""


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
        failure: why the event log cannot be written.
    """

    reason: str = ""
    deadline: float | None = None
    failure: str = ""

    @contextmanager
    def heeding_the_log(self) -> Iterator[None]:
        """Within, an event log that cannot be written asks for a stop: raised inside Tune, it would leave workers."""
        try:
            yield
        except LogUnwritable as error:
            self.failure = self.failure or str(error)

    def check(self) -> None:
        """Raises SearchStopped where a stop was asked for or the time is over."""
        if self.deadline is not None and time.monotonic() >= self.deadline:
            self.reason = self.reason or "time_budget"
        if self.reason or self.failure:
            raise SearchStopped(self.reason or self.failure)
