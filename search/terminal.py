"""Standard output and error in practice: they cannot show all characters, and may be closed at any time."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

SIGNS = {
    "↑": "^",
    "↓": "v",
    "→": ">",
    "×": "x",
    "±": "~",
    "≤": "<",
    "≥": ">",
    "–": "-",
    "—": "-",
    "…": "~",
    "·": ".",
    "█": "#",
}
"""Character → its ASCII replacement, one for one, so that tables stay aligned."""


class OutputLost(Exception):
    """Standard output cannot be written any more, and it was the command's only purpose.

    Args:
        reason: the reason given by the operating system.
        closed: whether its reader has gone, as ``head`` does when it has seen enough.
    """

    def __init__(self, reason: str, closed: bool) -> None:
        super().__init__(f"standard output cannot be written: {reason}")
        self.closed = closed


class Stream:
    """A text stream that takes any text.

    Args:
        stream: receives what is written, in characters of its encoding.

    Attributes:
        needed: whether a stream that cannot be written is an error; if not, it is silent from then on.
    """

    def __init__(self, stream: TextIO, needed: bool) -> None:
        self._stream, self.needed = stream, needed
        self._lost = False

    def write(self, text: str) -> int:
        if not self._lost:
            with self._surviving():
                self._stream.write(fitting(text, self._stream.encoding or "utf-8", self._stream.errors or "strict"))
        return len(text)

    def flush(self) -> None:
        if not self._lost:
            with self._surviving():
                self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    @contextmanager
    def _surviving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._lost = True
            # The rest of its buffer has to go somewhere when the process ends.
            with contextlib.suppress(OSError), open(os.devnull, "w") as nowhere:
                os.dup2(nowhere.fileno(), self._stream.fileno())
            if self.needed:
                raise OutputLost(error.strerror or str(error), isinstance(error, BrokenPipeError)) from None


def fitting(text: str, encoding: str, errors: str = "strict") -> str:
    """`text` in characters of `encoding`: simpler ones from :data:`SIGNS`, others as escapes such as ``\\xe4``."""
    try:
        text.encode(encoding, errors)
    except UnicodeEncodeError:
        if len(text) == 1:
            return SIGNS.get(text, text.encode("unicode_escape").decode())
        return "".join(fitting(sign, encoding, errors) for sign in text)
    return text


@contextmanager
def standard_streams() -> Iterator[None]:
    """Within, standard output and error accept any text; afterwards they and the handling of SIGHUP are as before."""
    before = sys.stdout, sys.stderr
    hangup = signal.getsignal(signal.SIGHUP)
    # A process can be started without one or both. Files it opens next must not get their numbers: libraries and child
    # processes would write into them.
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    # Python has none for those; Ray needs both.
    there: list[TextIO] = [stream or os.fdopen(at, "w", closefd=False) for at, stream in enumerate(before, 1)]
    streams: Any = [Stream(stream, needed) for stream, needed in zip(there, (True, False), strict=True)]
    sys.stdout, sys.stderr = streams
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGHUP, hangup)


def outlive_the_terminal() -> None:
    """For a command whose results are files: within :func:`standard_streams`, it continues silently when nobody reads
    what it prints, the terminal is closed, or the disk for its output is full."""
    if isinstance(sys.stdout, Stream):
        sys.stdout.needed = False
        # Also for its child processes.
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
