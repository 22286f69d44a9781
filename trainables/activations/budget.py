"""Room for stored activations: what may be kept, and what has to go first."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock

from thaw.trainables.data.in_use import last_use, remove_unused


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
        for folder in sorted(folders, key=last_use):
            if free >= size:
                break
            if remove_unused(folder):
                free += folders[folder]
        if free < size or shutil.disk_usage(directory).free < size:
            return False
        with file.open("xb") as made:
            made.truncate(size)
    return True


def _taken(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
