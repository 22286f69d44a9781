"""Progress of filling the activation store, as seen by other processes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from thaw.trainables.data.in_use import ABOUT

FRESH = 5.0
"""A file counts as being filled for this many seconds after its last row."""


def describe(folder: Path, source: str) -> None:
    """Write down what a key's folder holds, such as ``resnet50 at freeze depth 4``."""
    file = folder / ABOUT
    if not file.exists():
        file.write_text(source, encoding="utf-8")


def being_filled(directory: Path) -> list[tuple[str, int]]:
    """The files that are being filled on this machine: (what the key's folder holds, rows computed so far), sorted.

    Args:
        directory: the folder with the folders of all keys.
    """
    found = []
    for checks in directory.glob("*/*.checks"):
        try:
            if time.time() - checks.stat().st_mtime < FRESH:
                source = (checks.parent / ABOUT).read_text(encoding="utf-8")
                found.append((source, int(np.count_nonzero(np.fromfile(checks, np.uint64)))))
        except OSError:
            # Another search has removed the folder to make room, or an earlier version wrote no description.
            continue
    return sorted(found)
