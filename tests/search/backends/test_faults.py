"""Real faults: no finished trial is lost, and the search continues or can be resumed."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests import standins
from tests.searches import check_whole, small_config, small_search
from thaw.analysis.run import Run
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.state import SearchState
from thaw.search.sessions.tuner import run_search
from thaw.trainables.messages import Report

TWO: dict[str, Any] = {"space": {"dropout": [0.2, 0.3]}, "training": {"epochs": 3, "patience": 0}}


@pytest.fixture(params=[pytest.param("ray", marks=pytest.mark.ray), pytest.param("local", marks=pytest.mark.slow)])
def backend(request: pytest.FixtureRequest) -> str:
    """Backends whose workers are processes of their own."""
    request.getfixturevalue(f"{request.param}_session")
    return str(request.param)


def search_with(
    standin: type[standins.Standin],
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    *search: Any,
    backend: str,
    **sections: Any,
) -> Run:
    standins.install(standin, backend, monkeypatch)
    return check_whole(small_search(folder, *search, backend=backend, **{**TWO, **sections}).folder)


def pauses(run: Run) -> list[str]:
    return [event["reason"] for event in run.folder.events() if event["event"] == "trial_paused"]


def test_a_worker_that_always_dies(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    run = search_with(standins.AlwaysDies, monkeypatch, tmp_path, squares, cache, backend=backend, max_failures=1)
    assert list(run.trials["status"]) == ["failed", "completed"] and len(pauses(run)) == 1
    assert run.trials.loc[0, "error"] == "the worker process died, 2 times" and run.trials.loc[0, "last_epoch"] == 1


@pytest.mark.slow
def test_checkpoints_that_cannot_be_written(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    run = search_with(standins.FillsTheDisk, monkeypatch, tmp_path, squares, cache, backend=backend)
    assert list(run.trials["status"]) == ["completed", "completed"] and not pauses(run)
    warnings = {row.get("warning", "") for row in run.records[0].epochs.values()}
    assert any(
        "trial 0 continues without a checkpoint: " in warning and "cannot be written" in warning for warning in warnings
    )


def test_files_that_can_be_rebuilt_stop_no_search(
    tmp_path: Path, squares: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard, tables and mirror cannot be written: warnings, and all is there after the next resume."""
    report = SearchState.report

    def full_after_one(state: SearchState, number: int, said: Report) -> bool:
        folder = RunFolder(state.events.file.parent)
        if not folder.trials_file.exists():
            # A folder in the place of a file: a lasting error that does not depend on who runs the tests.
            folder.trials_file.mkdir()
        return report(state, number, said)

    monkeypatch.setattr(SearchState, "report", full_after_one)
    console = Console(record=True, quiet=False, file=open(os.devnull, "w"), width=200)  # noqa: SIM115
    run = run_search(small_config(tmp_path, squares, cache, **TWO), console, backend="inline")
    assert list(run.trials["status"]) == ["completed", "completed"]
    assert "warning: TableFiles is left out from now on: " in console.export_text()


def test_a_killed_worker_costs_nothing_but_time(backend: str, tmp_path: Path, squares: Path, cache: Path) -> None:
    killed: list[int] = []

    def kill_first_worker() -> None:
        events = RunFolder(tmp_path / "results" / "squares")
        for _ in range(600):
            time.sleep(0.1)
            rows = list(events.events()) if events.events_file.exists() else []
            workers = [row["worker"] for row in rows if row["event"] == "epoch" and row["trial"] == 0]
            if len(workers) > 2:
                killed.append(int(workers[0].rpartition(":")[2]))
                os.kill(killed[0], signal.SIGKILL)
                return

    killer = threading.Thread(target=kill_first_worker)
    killer.start()
    run = small_search(
        tmp_path,
        squares,
        cache,
        backend=backend,
        space={"epochs": [15, 1, 2]},
        training={"patience": 0, "epochs": None},
        search={"algorithm": "grid", "concurrency": 1},
    )
    killer.join()
    assert killed
    trials = run.trials.set_index("trial")
    assert list(trials["status"]) == ["completed"] * 3
    events = list(run.folder.events())
    paused = [event for event in events if event["event"] == "trial_paused"]
    assert [(e["trial"], e["status"], e["reason"]) for e in paused] == [(0, "interrupted", "the worker process died")]
    workers = {event["worker"] for event in events if event["event"] == "epoch" and event["trial"] == 0}
    assert len(workers) == 2 and run.records[0].failures == 1
    whole = small_search(
        tmp_path / "whole", squares, cache, space={"epochs": [15]}, training={"patience": 0, "epochs": None}
    )
    for epoch, row in whole.records[0].epochs.items():
        assert run.records[0].epochs[epoch]["metrics"] == row["metrics"], "it went on to the bit"
