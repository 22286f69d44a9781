"""Folders of the cache: kept from being removed while a process uses them, and removed when none does."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

IN_USE = "in-use"
"""The file in such a folder that its users lock, and whose time says when it was used last."""

ABOUT = "about.txt"
"""The file in such a folder that says what it is of, for people."""

_HELD: dict[tuple[Path, int], int] = {}


def hold(folder: Path) -> None:
    """Keep a folder while this process lives. The lock is shared, and the kernel frees it however the process ends.

    Raises:
        OSError: there is no such folder, or it cannot be written to.
    """
    descriptor = os.open(folder / IN_USE, os.O_RDWR | os.O_CREAT, 0o644)
    # By inode, too: a folder may have been removed and made again.
    key = folder, os.fstat(descriptor).st_ino
    if key in _HELD:
        os.close(descriptor)
        return
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.utime(descriptor)
    _HELD[key] = descriptor


def last_use(folder: Path) -> float:
    """Seconds since the epoch."""
    file = folder / IN_USE
    return (file if file.exists() else folder).stat().st_mtime


def remove_unused(folder: Path) -> bool:
    """Remove a folder unless a process holds it; whether it was removed."""
    descriptor = os.open(folder / IN_USE, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        shutil.rmtree(folder)
        return True
    finally:
        os.close(descriptor)
