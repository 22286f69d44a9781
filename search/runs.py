"""`thaw list`: the runs in a folder, each with its state, best value and time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from thaw.analysis.run import Run, load_run
from thaw.analysis.run_folder import RunFolder
from thaw.analysis.words import duration
from thaw.search.engine.events import seconds_waited
from thaw.spaces import ConfigError, best_epoch, printable

STATES = {
    "done": "done",
    "time_budget": "time budget used up",
    "error": "ended by an error",
}
"""Reason for the end of the last session → state; a signal's name is an interruption."""


def print_runs(folder: Path, console: Console) -> None:
    """Print one line per run, most recent first.

    Args:
        folder: a run folder, or a folder of run folders.

    Raises:
        ConfigError: there is no such folder, or it is a confirmation.
    """
    if not folder.is_dir():
        raise ConfigError("there is no such folder; give the folder that contains the runs", file=folder)
    RunFolder(folder).refuse_confirmation()
    # Not `Path.is_file`, which raises an error where a folder cannot be looked into.
    runs = [run for run in map(RunFolder, (folder, *folder.iterdir())) if os.path.isfile(run.events_file)]
    runs = [run for run in runs if not run.is_confirmation]
    table = Table(box=None)
    for column in ("run", "state", "trials", "metric", "best", "time"):
        table.add_column(column, justify="right" if column in ("trials", "best", "time") else "left", no_wrap=True)
    for run in sorted(runs, key=lambda run: -run.events_file.stat().st_mtime):
        table.add_row(*map(printable, _row(run)))
    if runs:
        console.print(table)
    else:
        console.print(f"no runs in {folder}", soft_wrap=True, highlight=False)


def _row(folder: RunFolder) -> tuple[str, ...]:
    try:
        run = load_run(folder.path)
        events = list(folder.events())
        record = run.best
        values = record.values(run.metric) if record else {}
        best = f"{values[best_epoch(values, run.metric)]:.4f}" if values else "–"
        seconds = duration(round(seconds_waited(events)))
        return (
            folder.path.name,
            _state(run, events[-1] if events else {}),
            str(len(run.records)),
            run.metric,
            best,
            seconds,
        )
    except (ConfigError, OSError):
        return folder.path.name, "cannot be read", "", "", "", ""


def _state(run: Run, last: dict[str, Any]) -> str:
    if last.get("event") == "session_ended":
        return STATES.get(last["reason"], f"interrupted by {last['reason']}")
    return "running" if is_driven(run.folder) else "killed"


def is_driven(folder: RunFolder) -> bool:
    """Whether a process drives the run now."""
    try:
        with folder.lock_file.open("r", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False
