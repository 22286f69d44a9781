"""Disk budget of stored activations: what is admitted, and what is removed to make room."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock

from thaw.trainables.data.in_use import last_use, remove_unused


def admit(file: Path, size: int, budget: int) -> bool:
    """Create `file` with room for `size` bytes if the budget allows it; returns whether the file exists.

    Keys that no process uses are removed to make room, the least recently used first. The new file is sparse: it takes
    no space yet but counts in full from then on, so that processes that request different files at the same time stay
    within the budget together.

    Args:
        file: a file in a key's folder, which the caller holds.
        size: bytes that it takes once it is filled.
        budget: bytes that the files of all keys together may take.
    """
    if file.exists():
        return True
    directory = file.parent.parent
    with FileLock(directory / "admission.lock"):
        if file.exists():
            return True
        folders = {folder: _total_size(folder) for folder in directory.iterdir() if folder.is_dir()}
        free = budget - sum(folders.values())
        for folder in sorted(folders, key=last_use):
            if free >= size:
                break
            if remove_unused(folder):
                free += folders[folder]
        if free < size or shutil.disk_usage(directory).free < size:
            return False
        with file.open("xb") as new:
            new.truncate(size)
    return True


def _total_size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())
