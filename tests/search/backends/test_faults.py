"""What goes wrong in practice, really caused: no finished trial is lost, the search goes on or can be resumed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import thaw.trainables.trainable
from tests import standins
from tests.search.sessions.test_resume import check_whole
from tests.searches import small_config, small_search
from thaw.analysis.run import Run
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.interruption import RunStopped
from thaw.search.engine.state import SearchState
from thaw.search.sessions.resume import resume_search
from thaw.search.sessions.tuner import run_search

pytestmark = pytest.mark.usefixtures("ray_session")

TWO: dict[str, Any] = {"space": {"dropout": [0.2, 0.3]}, "training": {"epochs": 3, "patience": 0}}


def search_with(standin: type, monkeypatch: pytest.MonkeyPatch, folder: Path, *search: Any, **sections: Any) -> Run:
    monkeypatch.setattr(thaw.trainables.trainable, "TrialTrainable", standin)
    return check_whole(small_search(folder, *search, **{**TWO, **sections}).folder)


def pauses(run: Run) -> list[str]:
    return [event["reason"] for event in run.folder.events() if event["event"] == "trial_paused"]


def test_a_worker_killed_within_a_checkpoint(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    run = search_with(standins.DiesInCheckpoint, monkeypatch, tmp_path, squares, cache)
    assert list(run.trials["status"]) == ["completed", "completed"] and pauses(run) == ["the worker process died"]
    assert not [
        file for file in run.folder.checkpoints.rglob("*") if file.is_file() and file.name != "best.safetensors"
    ]
    whole = small_search(tmp_path / "whole", squares, cache, **TWO)
    for number in (0, 1):
        for epoch, row in whole.records[number].epochs.items():
            assert run.records[number].epochs[epoch]["metrics"] == row["metrics"]


def test_a_worker_that_always_dies(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path) -> None:
    run = search_with(standins.AlwaysDies, monkeypatch, tmp_path, squares, cache, max_failures=1)
    assert list(run.trials["status"]) == ["failed", "completed"] and len(pauses(run)) == 1
    assert run.trials.loc[0, "error"] == "the worker process died, 2 times" and run.trials.loc[0, "last_epoch"] == 1


def test_out_of_gpu_memory_is_advice_and_no_end(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    run = search_with(
        standins.RunsOutOfMemory, monkeypatch, tmp_path, squares, cache, search={"concurrency": 1, "algorithm": "grid"}
    )
    assert list(run.trials["status"]) == ["failed", "completed"] and not pauses(run)
    error = run.trials.loc[0, "error"]
    assert "CUDA out of memory" in error and "try a smaller batch_size" in error
    workers = [{row["worker"] for row in record.epochs.values()} for record in run.records.values()]
    assert not workers[0] & workers[1], "the worker was replaced"


def test_an_exception_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    run = search_with(standins.Raises, monkeypatch, tmp_path, squares, cache)
    assert list(run.trials["status"]) == ["failed", "completed"] and not pauses(run)
    assert run.trials.loc[0, "error"] == "ArithmeticError: a custom part went wrong"


def test_checkpoints_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    run = search_with(standins.FillsTheDisk, monkeypatch, tmp_path, squares, cache)
    assert list(run.trials["status"]) == ["completed", "completed"] and not pauses(run)
    warnings = {row.get("warning", "") for row in run.records[0].epochs.values()}
    assert any(
        "trial 0 goes on without a checkpoint: " in warning and "cannot be written" in warning for warning in warnings
    )


def test_an_event_log_that_cannot_be_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, squares: Path, cache: Path
) -> None:
    epoch = SearchState.epoch

    def full_after_two(state: SearchState, number: int, row: dict[str, Any]) -> None:
        epoch(state, number, row)
        if sum(len(record.epochs) for record in state.records.values()) == 2:
            os.dup2(os.open("/dev/full", os.O_WRONLY), state.events._log)

    monkeypatch.setattr(SearchState, "epoch", full_after_two)
    with pytest.raises(RunStopped, match=r"events.jsonl cannot be written: No space left on device; make room"):
        run_search(small_config(tmp_path, squares, cache, **TWO))
    monkeypatch.undo()
    folder = RunFolder(tmp_path / "results" / "squares")
    assert sum(event["event"] == "epoch" for event in folder.events()) == 2
    resume_search(folder.path)
    assert list(check_whole(folder).trials["status"]) == ["completed", "completed"]


def test_what_can_be_made_again_stops_no_search(
    tmp_path: Path, squares: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TensorBoard, tables and mirror cannot be written: warnings, and all is there after the next resume."""
    epoch = SearchState.epoch

    def full_after_one(state: SearchState, number: int, row: dict[str, Any]) -> None:
        folder = RunFolder(state.events.file.parent)
        if not folder.trials_file.exists():
            # A folder in the place of a file: a lasting error that does not depend on who runs the tests.
            folder.trials_file.mkdir()
        epoch(state, number, row)

    monkeypatch.setattr(SearchState, "epoch", full_after_one)
    console = Console(record=True, quiet=False, file=open(os.devnull, "w"), width=200)  # noqa: SIM115
    run = run_search(small_config(tmp_path, squares, cache, **TWO), console)
    assert list(run.trials["status"]) == ["completed", "completed"]
    assert "warning: TableFiles cannot be kept up to date" in console.export_text()
