"""Interrupts searches at a given epoch and resumes them, for the tests of resuming on every backend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.searches import check_whole, resume, small_search
from thaw.analysis.run import Run
from thaw.analysis.run_folder import RunFolder

StopAfter = Callable[[RunFolder, int | None], None]
"""Interrupts searches in a folder once the log holds this many epochs; None to stop interrupting."""


def interrupted_and_resumed(
    folder: Path, stop_after: StopAfter, epochs: list[int], *search: Any, backend: str = "inline", **sections: Any
) -> Run:
    """Run a small search that is stopped after each of `epochs` in turn, and resumed to its end."""
    run_folder = RunFolder(folder / "results" / "squares")
    stop_after(run_folder, epochs[0])
    run = small_search(folder, *search, backend=backend, **sections)
    for following in [*epochs[1:], None]:
        assert list(run.folder.events())[-1]["reason"] == "SIGTERM"
        stop_after(run_folder, following)
        run = resume(run_folder, backend=backend)
    return check_whole(run_folder)
