"""`thaw report --watch`: rewrites the page while a search runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from thaw.analysis.run_folder import RunFolder
from thaw.search.runs import is_driven

SHORTEST = 10.0
"""Least seconds between two pages."""

SHARE = 0.1
"""Of the time, drawing may take so much: the search needs the processor."""


def watch(
    runs: Sequence[Path], write: Callable[[float | None], Path], written: Callable[[Path], object], tick: float = 1.0
) -> None:
    """Write the page until no process drives any of the runs; the last page is that of their ends.

    Args:
        runs: run folders.
        write: makes the page, given the seconds after which a browser loads it anew, or None for never.
        written: called with the place of each page.
        tick: seconds between two looks at the runs.
    """
    folders = [RunFolder(run) for run in runs]
    pause = SHORTEST
    while True:
        going_on = any(map(is_driven, folders))
        began = time.monotonic()
        written(write(pause if going_on else None))
        if not going_on:
            return
        pause = max(SHORTEST, (time.monotonic() - began) * (1 / SHARE - 1))
        due = time.monotonic() + pause
        while time.monotonic() < due and any(map(is_driven, folders)):
            time.sleep(tick)
