"""Signals end a search cleanly: they only leave a note, which Tune's loop reads at its next step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from thaw.search.engine.interruption import StopRequest

HANDLED = (signal.SIGINT, signal.SIGTERM)

SIGNAL_STATUS = {number.name: 128 + number for number in HANDLED}
"""Name of a signal → exit status of a command that it ended, as shells count it."""


@contextmanager
def noted_signals(stop: StopRequest) -> Iterator[None]:
    """Within, SIGINT and SIGTERM set ``stop.reason``; the former handlers come back afterwards.

    Python allows signal handlers in the main thread alone; elsewhere this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def note(number: int, frame: FrameType | None) -> None:
        stop.reason = signal.Signals(number).name

    former = {number: signal.signal(number, note) for number in HANDLED}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
