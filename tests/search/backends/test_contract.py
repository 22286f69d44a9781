"""The contract of every backend: the same rows, resuming, promotions, failures and lost trials."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from rich.console import Console

from tests import standins
from tests.interruption import StopAfter, interrupted_and_resumed
from tests.searches import HALVING, check_whole, comparable_history, resume, small_config, small_search, trained
from thaw.analysis.run import Run
from thaw.analysis.run_folder import RunFolder
from thaw.analysis.tables import TrialRecord
from thaw.search.backends import BACKENDS
from thaw.search.engine.interruption import RunStopped
from thaw.search.engine.observers import Observer
from thaw.search.engine.state import SearchState
from thaw.search.prepare.preflight import prepare
from thaw.search.sessions.tuner import run_search
from thaw.spaces import ConfigError, TrialConfig
from thaw.trainables.messages import EpochRow, Report

TWO: dict[str, Any] = {"space": {"dropout": [0.2, 0.3]}, "training": {"epochs": 3, "patience": 0}}


RAY, SLOW = pytest.mark.ray, pytest.mark.slow

EVERYWHERE = [pytest.param(name, marks=[RAY] if name == "ray" else []) for name in BACKENDS]

WORKERS = [pytest.param("ray", marks=RAY), pytest.param("local")]
"""Backends whose trials run in other processes."""

SLOW_ON_LOCAL = [
    pytest.param("ray", marks=RAY),
    pytest.param("local", marks=SLOW),
    pytest.param("inline"),
]
"""For tests whose subject other fast tests cover for local workers: each of their searches costs seconds."""

SLOW_IN_WORKERS = [
    pytest.param("ray", marks=[RAY, SLOW]),
    pytest.param("local", marks=SLOW),
    pytest.param("inline"),
]
"""The same for Ray's hooks, too."""


def _stopped(backends: list[Any], how: signal.Signals | None, reason: str) -> list[Any]:
    """Parameters of one way to stop a search, on each backend."""
    return [pytest.param(*backend.values, how, reason, marks=backend.marks) for backend in backends]


@pytest.fixture(params=EVERYWHERE)
def backend(request: pytest.FixtureRequest) -> str:
    if request.param in ("ray", "local"):
        request.getfixturevalue(f"{request.param}_session")
    return str(request.param)


def pauses(run: Run) -> list[str]:
    return [event["reason"] for event in run.folder.events() if event["event"] == "trial_paused"]


def test_a_grid_equals_the_plain_loop(backend: str, grid: Run, tmp_path: Path, squares: Path, cache: Path) -> None:
    search = {"algorithm": "grid", "concurrency": 2}
    run = small_search(tmp_path, squares, cache, backend=backend, search=search)
    pd.testing.assert_frame_equal(comparable_history(run), comparable_history(grid), check_exact=True)
    assert set(run.trials["status"]) == {"completed"} and len({e["worker"] for e in _epochs(run)}) >= 1
    context = prepare(small_config(tmp_path, squares, cache)).context
    torch.set_num_threads(1)
    rows = list(trained(TrialConfig(**run.records[3].config), context))
    assert [row.epoch for row in rows] == [1, 2]
    for row in rows:
        assert isinstance(row, EpochRow) and row.metrics == run.records[3].epochs[row.epoch]["metrics"]


def _epochs(run: Run) -> list[dict[str, Any]]:
    return [event for event in run.folder.events() if event["event"] == "epoch"]


@pytest.mark.parametrize("backend", SLOW_ON_LOCAL, indirect=True)
def test_an_interrupted_search_continues_as_if_it_had_not_been(
    backend: str, halving: Run, stop_after: StopAfter, tmp_path: Path, squares: Path, cache: Path
) -> None:
    run = interrupted_and_resumed(tmp_path, stop_after, [7], squares, cache, backend=backend, **HALVING)
    columns = [name for name in run.trials.columns if not str(name).startswith("seconds")]
    pd.testing.assert_frame_equal(run.trials[columns], halving.trials[columns], check_exact=True)
    pd.testing.assert_frame_equal(comparable_history(run), comparable_history(halving), check_exact=True)


@pytest.mark.parametrize("backend", SLOW_IN_WORKERS, indirect=True)
def test_promotions_over_two_sessions(
    backend: str, stop_after: StopAfter, tmp_path: Path, squares: Path, cache: Path
) -> None:
    scheduler = {"type": "asha_promotion", "reduction_factor": 2}
    sections = {**HALVING, "search": {"algorithm": "random", "trials": 8, "concurrency": 2}, "scheduler": scheduler}
    run = interrupted_and_resumed(tmp_path, stop_after, [6], squares, cache, backend=backend, **sections)
    events = list(run.folder.events())
    assert set(run.trials["status"]) == {"pruned", "completed"} and (run.trials["last_epoch"] == 4).any()
    assert "waiting" in {event["status"] for event in events if event["event"] == "trial_paused"}
    assert "promoted" in {event["reason"] for event in events if event["event"] == "trial_continued"}


@pytest.mark.parametrize("backend", SLOW_ON_LOCAL, indirect=True)
def test_a_trial_that_ran_out_of_memory_continues(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    """Another trial on the device may have been the cause."""
    standins.install(standins.RunsOutOfMemory, backend, monkeypatch)
    run = check_whole(small_search(tmp_path, squares, cache, backend=backend, **TWO).folder)
    assert list(run.trials["status"]) == ["completed", "completed"] and run.records[0].failures == 1
    [reason] = pauses(run)
    assert "CUDA out of memory" in reason and "try a smaller batch_size" in reason
    monkeypatch.undo()
    whole = small_search(tmp_path / "whole", squares, cache, **TWO)
    pd.testing.assert_frame_equal(comparable_history(run), comparable_history(whole), check_exact=True)


@pytest.mark.parametrize("backend", SLOW_IN_WORKERS, indirect=True)
def test_a_trial_that_always_runs_out_of_memory_fails_with_advice(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    standins.install(standins.AlwaysRunsOutOfMemory, backend, monkeypatch)
    search = {"concurrency": 1, "algorithm": "grid"}
    run = check_whole(
        small_search(tmp_path, squares, cache, backend=backend, search=search, max_failures=1, **TWO).folder
    )
    assert list(run.trials["status"]) == ["failed", "completed"] and len(pauses(run)) == 1
    error = run.trials.loc[0, "error"]
    assert "CUDA out of memory" in error and "try a smaller batch_size" in error and error.endswith(", 2 times")


@pytest.mark.parametrize("backend", WORKERS, indirect=True)
def test_a_worker_killed_within_a_checkpoint(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    standins.install(standins.DiesInCheckpoint, backend, monkeypatch)
    run = check_whole(small_search(tmp_path, squares, cache, backend=backend, **TWO).folder)
    assert list(run.trials["status"]) == ["completed", "completed"] and pauses(run) == ["the worker process died"]
    assert not [
        file for file in run.folder.checkpoints.rglob("*") if file.is_file() and file.name != "best.safetensors"
    ]
    whole = small_search(tmp_path / "whole", squares, cache, **TWO)
    for number in (0, 1):
        for epoch, row in whole.records[number].epochs.items():
            assert run.records[number].epochs[epoch]["metrics"] == row["metrics"]


@pytest.mark.parametrize("backend", SLOW_IN_WORKERS, indirect=True)
def test_an_exception_is_not_retried(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    standins.install(standins.Raises, backend, monkeypatch)
    run = check_whole(small_search(tmp_path, squares, cache, backend=backend, **TWO).folder)
    assert list(run.trials["status"]) == ["failed", "completed"] and not pauses(run)
    assert run.trials.loc[0, "error"] == "ArithmeticError: a custom part went wrong"


@pytest.mark.parametrize(
    ("backend", "how", "reason"),
    [
        *_stopped(EVERYWHERE, signal.SIGTERM, "SIGTERM"),
        *_stopped(SLOW_IN_WORKERS, signal.SIGINT, "SIGINT"),
        *_stopped(SLOW_IN_WORKERS, None, "time_budget"),
    ],
    indirect=["backend"],
)
def test_signals_and_the_time_budget_end_it_within_an_epoch(
    backend: str, how: signal.Signals | None, reason: str, tmp_path: Path, squares: Path, cache: Path
) -> None:
    folder = RunFolder(tmp_path / "results" / "squares")
    # Workers take seconds to start.
    budget = {"time_budget": 1.5 if backend == "inline" else 6.0} if how is None else {}

    def send() -> None:
        while not folder.events_file.exists() or b'"epoch"' not in folder.events_file.read_bytes():
            time.sleep(0.05)
        os.kill(os.getpid(), how or 0)

    if how is not None:
        threading.Thread(target=send).start()
    sections = {"training": {"epochs": 500, "patience": 0}, "search": {"algorithm": "grid", **budget}}
    run = small_search(tmp_path, squares, cache, backend=backend, **sections)
    *_, last = run.folder.events()
    assert last["reason"] == reason and last["seconds"] < 60 and set(run.trials["status"]) == {"interrupted"}
    assert run.best is None and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    after = small_search(tmp_path / "after", squares, cache, backend=backend, training={"epochs": 1})
    assert set(after.trials["status"]) == {"completed"}, "the stopped search leaves no worker in the way of the next"


@pytest.mark.parametrize("backend", SLOW_ON_LOCAL, indirect=True)
def test_an_event_log_that_cannot_be_written(
    backend: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    report = SearchState.report

    def full_after_two(state: SearchState, number: int, said: Report) -> bool:
        goes_on = report(state, number, said)
        if sum(len(record.epochs) for record in state.records.values()) == 2:
            os.dup2(os.open("/dev/full", os.O_WRONLY), state.events._log)
        return goes_on

    monkeypatch.setattr(SearchState, "report", full_after_two)
    with pytest.raises(RunStopped, match=r"events.jsonl cannot be written: No space left on device; make room"):
        small_search(tmp_path, squares, cache, backend=backend, **TWO)
    monkeypatch.undo()
    folder = RunFolder(tmp_path / "results" / "squares")
    assert sum(event["event"] == "epoch" for event in folder.events()) == 2
    resume(folder, backend=backend)
    assert list(check_whole(folder).trials["status"]) == ["completed", "completed"]


class Noting(Observer):
    """Records all calls."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        self.heard.append(f"open {len(records)}")

    def epoch(self, record: TrialRecord, event: Mapping[str, Any]) -> None:
        self.heard.append(f"{record.number} {event['epoch']} {event['decision']}")

    def ended(self, record: TrialRecord) -> None:
        self.heard.append(f"{record.number} {record.status}")

    def close(self) -> None:
        self.heard.append("close")


class Broken(Observer):
    """Raises at every epoch."""

    calls = 0

    def epoch(self, record: TrialRecord, event: Mapping[str, Any]) -> None:
        self.calls += 1
        raise LookupError("no such dashboard")


@pytest.mark.parametrize("backend", SLOW_IN_WORKERS, indirect=True)
def test_the_users_observers_get_every_event_and_disturb_nothing(
    backend: str, tmp_path: Path, squares: Path, cache: Path
) -> None:
    noting, broken = Noting(), Broken()
    console = Console(record=True, file=open(os.devnull, "w"), width=200)  # noqa: SIM115
    sections = {**TWO, "search": {"algorithm": "grid", "concurrency": 1}}
    config = small_config(tmp_path, squares, cache, **sections)
    run = run_search(config, console, backend=backend, observers=[broken, noting])
    assert list(check_whole(run.folder).trials["status"]) == ["completed", "completed"]
    assert noting.heard == [
        "open 0",
        *("0 1 continue", "0 2 continue", "0 3 finish", "0 completed"),
        *("1 1 continue", "1 2 continue", "1 3 finish", "1 completed"),
        "close",
    ]
    assert broken.calls == 1
    shown = console.export_text()
    assert shown.count("warning: Broken is left out from now on: no such dashboard") == 1


def test_an_unknown_backend_is_refused_before_anything_is_made(tmp_path: Path, squares: Path, cache: Path) -> None:
    with pytest.raises(ConfigError, match="--backend: must be ray, local, inline, got 'inlin'; did you mean inline"):
        small_search(tmp_path, squares, cache, backend="inlin")
    assert not (tmp_path / "results").exists()
