"""Signals and the time budget end a search cleanly: they leave a note, which the backend reads at its next step."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from thaw.search.engine.interruption import TIME_BUDGET, StopRequest

REASONS = {signal.SIGINT: "SIGINT", signal.SIGTERM: "SIGTERM", signal.SIGALRM: TIME_BUDGET}
"""Signal → why the search stops. The alarm goes off when the time budget is used up."""

SIGNAL_STATUS = {number.name: 128 + number for number in (signal.SIGINT, signal.SIGTERM)}
"""Name of a signal → exit status of a command that it ended, as shells count it."""


@contextmanager
def noted_signals(stop: StopRequest) -> Iterator[None]:
    """Within this context, `stop` records SIGINT, SIGTERM and the end of the time budget; then handlers are restored.

    Python allows signal handlers only in the main thread; elsewhere this does nothing, and only the time budget ends a
    search early, between two epochs.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        stop.ask(REASONS[signal.Signals(number)])

    former = {number: signal.signal(number, note) for number in REASONS}
    if stop.deadline is not None:
        signal.setitimer(signal.ITIMER_REAL, max(1e-3, stop.deadline - time.monotonic()))
    try:
        yield
    finally:
        if stop.deadline is not None:
            signal.setitimer(signal.ITIMER_REAL, 0)
        for number, handler in former.items():
            signal.signal(number, handler)
