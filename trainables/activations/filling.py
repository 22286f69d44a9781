"""How far activations have been computed, seen from outside of the processes that compute them."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

ABOUT = "about.txt"
"""In a key's folder: what it is of, for people."""

FRESH = 5.0
"""Seconds after its last row for which a file counts as being filled."""


def describe(folder: Path, source: str) -> None:
    """Note what a key's folder is of, such as ``resnet50 at freeze depth 4``."""
    file = folder / ABOUT
    if not file.exists():
        file.write_text(source, encoding="utf-8")


def being_filled(directory: Path) -> list[tuple[str, int]]:
    """(what a key's folder is of, its rows in the file that is being filled now) on this machine, in order.

    Args:
        directory: of all keys.
    """
    found = []
    for checks in directory.glob("*/*.checks"):
        try:
            if time.time() - checks.stat().st_mtime < FRESH:
                source = (checks.parent / ABOUT).read_text(encoding="utf-8")
                found.append((source, int(np.count_nonzero(np.fromfile(checks, np.uint64)))))
        except OSError:
            # Another search has made room, or an earlier version has noted nothing.
            continue
    return sorted(found)
