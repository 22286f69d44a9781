"""Room for stored activations: what may be kept, and what has to go first."""

from __future__ import annotations

import fcntl
import os
import shutil
from functools import cache
from pathlib import Path

from filelock import FileLock

from thaw.spaces.locks import locked_if_free

IN_USE = "in-use"


@cache
def hold(folder: Path) -> int:
    """Keep a key's folder from being removed while this process lives. Makes it if need be.

    Every process that uses a folder holds a shared lock in it, which the kernel frees when the process ends.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / IN_USE, os.O_RDWR | os.O_CREAT, 0o644)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    os.utime(folder / IN_USE)
    return descriptor


def admit(file: Path, size: int, budget: int) -> bool:
    """Whether `file` may hold `size` bytes, after removing keys that nobody uses, oldest first; if so, makes it.

    It is made as a hole that takes no space yet but counts in full from then on, so that processes that ask for
    different files at the same time stay within the budget together.

    Args:
        file: in a key's folder, which is held.
        size: bytes that it may come to take.
        budget: bytes that the files of all keys together may take.
    """
    if file.exists():
        return True
    directory = file.parent.parent
    with FileLock(directory / "admission.lock"):
        if file.exists():
            return True
        folders = {folder: _taken(folder) for folder in directory.iterdir() if folder.is_dir()}
        free = budget - sum(folders.values())
        for folder in sorted(folders, key=_last_use):
            if free >= size:
                break
            if _remove_unused(folder):
                free += folders[folder]
        if free < size or shutil.disk_usage(directory).free < size:
            return False
        with file.open("xb") as made:
            made.truncate(size)
    return True


def _taken(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _last_use(folder: Path) -> float:
    file = folder / IN_USE
    return file.stat().st_mtime if file.exists() else 0.0


def _remove_unused(folder: Path) -> bool:
    mark = folder / IN_USE
    if not mark.exists():
        mark.touch()
    with locked_if_free(mark) as unused:
        if unused:
            shutil.rmtree(folder)
    return unused
