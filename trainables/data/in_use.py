"""Locks on folders of the cache: a folder is kept while a process uses it, and can be removed otherwise."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

IN_USE = "in-use"
"""The file in such a folder that its users lock; its modification time is the time of the last use."""

ABOUT = "about.txt"
"""The file in such a folder that describes its content, for people."""

_HELD: dict[tuple[Path, int], int] = {}


def hold(folder: Path) -> None:
    """Keep a folder while this process lives, by a shared lock, which the kernel releases however the process ends.

    Raises:
        OSError: the folder does not exist or is not writable.
    """
    descriptor = os.open(folder / IN_USE, os.O_RDWR | os.O_CREAT, 0o644)
    # By inode, too: the folder may have been removed and created again.
    key = folder, os.fstat(descriptor).st_ino
    if key in _HELD:
        os.close(descriptor)
        return
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.utime(descriptor)
    _HELD[key] = descriptor


def last_use(folder: Path) -> float:
    """Time of the last use of a folder, in Unix seconds."""
    file = folder / IN_USE
    return (file if file.exists() else folder).stat().st_mtime


def remove_unused(folder: Path) -> bool:
    """Remove a folder unless a process holds it. Returns whether it was removed."""
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
