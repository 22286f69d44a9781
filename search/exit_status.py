"""How a command ends: errors that a user may encounter become one line on standard error and an exit status."""

from __future__ import annotations

import errno
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer

from thaw.search.engine.interruption import RunStopped
from thaw.search.terminal import OutputLost, standard_streams
from thaw.spaces import ConfigError, printable

OK, NOTHING_FINISHED, WRONG_INPUT = 0, 1, 2


@dataclass(frozen=True)
class Fault:
    """What a command says of a file that the system refuses.

    Args:
        rule: what must hold, after the file's name; the system's words follow.
        status: WRONG_INPUT if another command line or search file would have helped, else NOTHING_FINISHED.
    """

    rule: str
    fix: str
    status: int


_NO_ROOM = Fault("cannot be written", "make room, or choose another place", NOTHING_FINISHED)
_NO_RIGHT = Fault("must be open to this user", "change its permissions, or choose another place", WRONG_INPUT)
_NO_PATH = Fault("must be a path of this system", "write it differently", WRONG_INPUT)
_BROKEN = Fault("cannot be read or written", "check the disk or the network drive", NOTHING_FINISHED)
_TOO_MANY = Fault("cannot be opened", "allow more open files with `ulimit -n`", NOTHING_FINISHED)

FAULTS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS), _NO_ROOM),
    **dict.fromkeys((errno.EACCES, errno.EPERM), _NO_RIGHT),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.ELOOP, errno.ENOTDIR, errno.EISDIR), _NO_PATH),
    **dict.fromkeys((errno.EIO, errno.ESTALE), _BROKEN),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), _TOO_MANY),
}
"""Error of the system → what is said of it. It may happen to any path at any time, also after that was checked."""


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
        except OSError as error:
            fault = FAULTS.get(error.errno or 0)
            # A wrong input has a name; without one it may be a fault of ours.
            if fault is None or (fault.status == WRONG_INPUT and not error.filename):
                raise
            where = f"{error.filename}: " if error.filename else ""
            return _say(OSError(f"{where}{fault.rule}: {error.strerror}; {fault.fix}"), fault.status)
        except Exception as error:
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
