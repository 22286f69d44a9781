"""A search that is interrupted anywhere and resumed equals an uninterrupted one."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.interruption import StopAfter, interrupted_and_resumed
from tests.searches import HALVING, check_whole, comparable_history, resume, small_search
from thaw.analysis.run import Run, load_run
from thaw.analysis.run_folder import RunFolder
from thaw.search.sessions.lock import driving
from thaw.spaces import ConfigError


@pytest.mark.parametrize("epochs", [[1, 7], [1, 3, 4, 7]])
def test_a_grid_in_several_sessions(
    epochs: list[int],
    grid: Run,
    stop_after: StopAfter,
    tmp_path: Path,
    squares: Path,
    cache: Path,
) -> None:
    run = interrupted_and_resumed(tmp_path, stop_after, epochs, squares, cache)
    columns = [name for name in run.trials.columns if not str(name).startswith("seconds")]
    pd.testing.assert_frame_equal(run.trials[columns], grid.trials[columns], check_exact=True)
    pd.testing.assert_frame_equal(comparable_history(run), comparable_history(grid), check_exact=True)
    sessions = [event["session"] for event in run.folder.events() if event["event"] == "session_started"]
    assert sessions == list(range(1, len(epochs) + 2))


@pytest.mark.parametrize("epochs", [[7], [3, 11]])
def test_one_trial_at_a_time_by_tpe_and_halving_in_several_sessions(
    epochs: list[int],
    halving: Run,
    stop_after: StopAfter,
    tmp_path: Path,
    squares: Path,
    cache: Path,
) -> None:
    run = interrupted_and_resumed(tmp_path, stop_after, epochs, squares, cache, **HALVING)
    columns = [name for name in run.trials.columns if not str(name).startswith("seconds")]
    pd.testing.assert_frame_equal(run.trials[columns], halving.trials[columns], check_exact=True)
    pd.testing.assert_frame_equal(comparable_history(run), comparable_history(halving), check_exact=True)


def _half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize("damage", [_half, Path.unlink])
def test_a_damaged_checkpoint_costs_only_time(
    damage: Callable[[Path], None],
    stop_after: StopAfter,
    tmp_path: Path,
    squares: Path,
    cache: Path,
) -> None:
    sections: dict[str, Any] = {
        "space": {"dropout": [0.2]},
        "training": {"epochs": 6, "patience": 0},
        "search": {"algorithm": "grid"},
    }
    folder = RunFolder(tmp_path / "results" / "squares")
    stop_after(folder, 3)
    small_search(tmp_path, squares, cache, **sections)
    damage(folder.last_file(0))
    stop_after(folder, None)
    resume(folder)
    run = check_whole(folder)
    warnings = {event["epoch"]: event.get("warning", "") for event in folder.events() if event["event"] == "epoch"}
    # The epoch after the third was perhaps logged by the worker that was stopped.
    assert "trial 0 restarts from epoch 1" in warnings[6] and "last.safetensors" in warnings[6] and not warnings[2]
    whole = small_search(tmp_path / "whole", squares, cache, **sections)
    pd.testing.assert_frame_equal(comparable_history(run), comparable_history(whole), check_exact=True)


def test_a_crash_between_a_trials_last_epoch_and_its_end(tmp_path: Path, squares: Path, cache: Path) -> None:
    """The end is logged first; checkpoints stay. `study.log` is rewritten, whatever it contains."""
    folder = small_search(tmp_path, squares, cache, space={"dropout": [0.2, 0.4]}, training={"epochs": 1}).folder
    kept = sorted(folder.checkpoints.glob("*/*"))
    lines = folder.events_file.read_bytes().splitlines(keepends=True)
    folder.events_file.write_bytes(b"".join(lines[:-2]))
    folder.study_file.write_bytes(b"\x80\x05[" + b"[" * 100_000)
    resume(folder)
    check_whole(folder)
    assert len(kept) == 2 and sorted(folder.checkpoints.glob("*/*")) == kept
    told = [event["event"] for event in folder.events()][len(lines) - 2 :]
    assert told == ["session_started", "trial_ended", "session_ended"]


def test_a_finished_run_takes_more_trials(tmp_path: Path, squares: Path, cache: Path) -> None:
    sections: dict[str, Any] = {
        **HALVING,
        "search": {"algorithm": "random", "trials": 3, "concurrency": 1},
        "training": {"epochs": 2},
    }
    first = small_search(tmp_path, squares, cache, **sections)
    before = first.folder.events_file.read_bytes()
    assert len(resume(first.folder).records) == 3
    assert first.folder.events_file.read_bytes() == before, "nothing was left to do"
    resume(first.folder, ["search.trials=5", "search.concurrency=2", "checkpoints.keep=1"])
    run = check_whole(first.folder)
    assert len(run.records) == 5 and run.folder.settings()["search"]["trials"] == 5
    assert run.folder.events_file.read_bytes().startswith(before)
    assert len(list(run.folder.checkpoints.iterdir())) == 1
    [session] = [e for e in run.folder.events() if e["event"] == "session_started" and e["session"] == 2]
    assert session["overrides"] == ["search.trials=5", "search.concurrency=2", "checkpoints.keep=1"]
    for text, message in (
        ("search.trials=4", "5 trials have started, got 4"),
        ("search.metric=val_loss", "search.metric: is part of what the run's results mean"),
        ("space.learning_rate=[0.1]", "space.learning_rate"),
        ("training.epochs=9", "training.epochs: is part of what the run's results mean: it stays 2, got 9"),
        ("data.split.seed=1", "data.split.seed"),
        ("scheduler.type=none", "scheduler.type"),
        ("search.seed=3", "search.seed"),
    ):
        with pytest.raises(ConfigError, match="search.yaml|trials") as error:
            resume(run.folder, [text])
        assert message in str(error.value)
    assert load_run(run.folder.path).folder.settings()["search"]["trials"] == 5


def test_a_run_has_one_driver_and_its_own_data(tmp_path: Path, squares: Path, cache: Path) -> None:
    run = small_search(tmp_path, squares, cache, space={"dropout": [0.2]}, training={"epochs": 1})
    with (
        driving(run.folder),
        pytest.raises(ConfigError, match=f"another process drives this run .process {os.getpid()} on "),
    ):
        resume(run.folder)
    with pytest.raises(ConfigError, match="not a run folder"):
        resume(RunFolder(tmp_path))
    own = tmp_path / "labels.csv"
    lines = (squares / "labels.csv").read_text().splitlines()
    own.write_text("\n".join(lines))
    changed = small_search(
        tmp_path / "changed",
        squares,
        cache,
        data={"labels": str(own)},
        space={"dropout": {"float": [0.0, 0.5]}},
        training={"epochs": 1},
        search={"algorithm": "random", "trials": 1},
    )
    own.write_text("\n".join(lines[:-1]))
    with pytest.raises(ConfigError, match="images or labels have changed"):
        resume(changed.folder, ["search.trials=2"])


def test_the_time_budget_counts_all_sessions(tmp_path: Path, squares: Path, cache: Path) -> None:
    run = small_search(
        tmp_path,
        squares,
        cache,
        training={"epochs": 2000, "patience": 0},
        search={"algorithm": "grid", "time_budget": 1.0},
    )
    assert [event["reason"] for event in run.folder.events() if event["event"] == "session_ended"] == ["time_budget"]
    with pytest.raises(ConfigError, match="s are used of 1"):
        resume(run.folder)
    run = resume(run.folder, ["search.time_budget=3s"])
    ends = [event for event in run.folder.events() if event["event"] == "session_ended"]
    assert [event["reason"] for event in ends] == ["time_budget", "time_budget"]
    assert sum(event["seconds"] for event in ends) >= 3 and ends[1]["seconds"] < 30
    assert len(run.records) == 2 and set(run.trials["status"]) == {"interrupted"}
