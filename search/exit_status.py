"""How a command ends: errors that a user may encounter become one line on standard error and an exit status."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from thaw.search.engine.interruption import RunStopped
from thaw.search.terminal import OutputLost, standard_streams
from thaw.spaces import ConfigError, printable

OK, NOTHING_FINISHED, WRONG_INPUT = 0, 1, 2

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Reasons for which a disk takes nothing more, as it may happen at any time, also after it was checked."""


def exit_status(command: Callable[[], int | None]) -> int:
    """Call `command`, which returns a status or None, and return the exit status of the process."""
    with standard_streams():
        try:
            status = command() or OK
            print(end="", flush=True)
            return status
        except ConfigError as error:
            return _say(error, WRONG_INPUT)
        except RunStopped as error:
            return _say(error, NOTHING_FINISHED)
        except OutputLost as error:
            return 128 + signal.SIGPIPE if error.closed else _say(error, NOTHING_FINISHED)
        except (typer.Abort, KeyboardInterrupt):
            # Ctrl-C between two lines of ours: a command that runs says more.
            print("interrupted", file=sys.stderr)
            return 128 + signal.SIGINT
        except Exception as error:
            if isinstance(error, OSError) and error.errno in NO_ROOM:
                where = f"{error.filename}: " if error.filename else ""
                fix = "make room, or choose another place"
                return _say(OSError(f"{where}cannot be written: {error.strerror}; {fix}"), NOTHING_FINISHED)
            # Click's errors about options know how to show themselves; anything else is a bug and shows its traceback.
            show = getattr(error, "show", None)
            if show is None:
                raise
            show()
            return getattr(error, "exit_code", WRONG_INPUT)


@contextmanager
def naming(file: Path) -> Iterator[None]:
    """Errors about the content of a search file name the file."""
    try:
        yield
    except ConfigError as error:
        raise error.within(file=file) from None


@contextmanager
def training() -> Iterator[None]:
    """A training that fails is not the input's fault: status 1."""
    from thaw.search.delivery.fit import TrainingFailed

    try:
        yield
    except TrainingFailed as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(NOTHING_FINISHED) from None


def _say(error: Exception, status: int) -> int:
    print(printable(f"error: {error}"), file=sys.stderr)
    return status
