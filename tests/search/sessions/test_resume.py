"""A search that is interrupted anywhere and resumed gives what an uninterrupted one gives."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.searches import HALVING, comparable_history, small_config, small_search
from thaw.analysis.run import Run, load_run
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.interruption import SearchStopped, StopRequest
from thaw.search.sessions.lock import driving
from thaw.search.sessions.resume import resume_search
from thaw.spaces import ConfigError

pytestmark = pytest.mark.usefixtures("ray_session")


def check_whole(folder: RunFolder) -> Run:
    """Nothing is lost, doubled or orphaned in a run."""
    run = load_run(folder.path)
    events = list(folder.events())
    started = [event["trial"] for event in events if event["event"] == "trial_started"]
    ended = [event["trial"] for event in events if event["event"] == "trial_ended"]
    rows = [(event["trial"], event["epoch"]) for event in events if event["event"] == "epoch"]
    assert started == list(range(len(started))) and len(set(ended)) == len(ended) and len(set(rows)) == len(rows)
    storage = JournalStorage(JournalFileBackend(str(folder.study_file)))
    study = {trial.user_attrs["trial"]: trial for trial in optuna.load_study(study_name=None, storage=storage).trials}
    assert sorted(study) == sorted(ended)
    boards = {path.name for path in folder.tensorboard.iterdir()}
    assert boards == {folder.tensorboard_run(number).name for number, record in run.records.items() if record.epochs}
    for number, record in run.records.items():
        assert sorted(record.epochs) == list(range(1, len(record.epochs) + 1))
        if record.ended:
            assert study[number].intermediate_values == record.values(run.metric)
            assert study[number].user_attrs["status"] == record.status
            assert not folder.last_file(number).exists()
        board = EventAccumulator(str(folder.tensorboard_run(number))).Reload()
        shown = [scalar.step for scalar in board.Scalars("map/val")] if record.epochs else []
        assert shown == sorted(record.epochs), f"TensorBoard's rows of trial {number}"
        assert not record.ended or len(board.Scalars("best/map")) == 1
    pd.testing.assert_frame_equal(
        pd.read_csv(folder.trials_file, keep_default_na=False).astype(str),
        run.trials.astype(object).where(run.trials.notna(), "").astype(str),
        check_dtype=False,
    )
    return run


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunFolder, int | None], None]:
    """Interrupt searches in a folder once the log holds so many epochs; None for not any more."""

    def limit(folder: RunFolder, epochs: int | None) -> None:
        def check(request: StopRequest) -> None:
            if epochs is not None and sum(event["event"] == "epoch" for event in folder.events()) >= epochs:
                request.reason = "SIGTERM"
                raise SearchStopped("SIGTERM")

        monkeypatch.setattr(StopRequest, "check", check)

    return limit


def interrupted_and_resumed(
    folder: Path, stop_after: Callable[[RunFolder, int | None], None], epochs: list[int], *search: Any, **sections: Any
) -> Run:
    run_folder = RunFolder(folder / "results" / "squares")
    stop_after(run_folder, epochs[0])
    run = small_search(folder, *search, **sections)
    for wanted in [*epochs[1:], None]:
        assert list(run.folder.events())[-1]["reason"] == "SIGTERM"
        stop_after(run_folder, wanted)
        run = resume_search(run_folder.path)
    return check_whole(run_folder)


@pytest.mark.parametrize("epochs", [[1, 7], pytest.param([1, 3, 4, 7], marks=pytest.mark.slow)])
def test_a_grid_in_several_sessions(
    epochs: list[int],
    grid: Run,
    stop_after: Callable[[RunFolder, int | None], None],
    tmp_path: Path,
    squares: Path,
    cache: Path,
) -> None:
    run = interrupted_and_resumed(tmp_path, stop_after, epochs, squares, cache)
    columns = [name for name in run.trials.columns if name != "seconds"]
    pd.testing.assert_frame_equal(run.trials[columns], grid.trials[columns], check_exact=True)
    pd.testing.assert_frame_equal(comparable_history(run), comparable_history(grid), check_exact=True)
    sessions = [event["session"] for event in run.folder.events() if event["event"] == "session_started"]
    assert sessions == list(range(1, len(epochs) + 2))


@pytest.mark.parametrize("epochs", [[7], pytest.param([3, 11], marks=pytest.mark.slow)])
def test_one_trial_at_a_time_by_tpe_and_halving_in_several_sessions(
    epochs: list[int],
    halving: Run,
    stop_after: Callable[[RunFolder, int | None], None],
    tmp_path: Path,
    squares: Path,
    cache: Path,
) -> None:
    run = interrupted_and_resumed(tmp_path, stop_after, epochs, squares, cache, **HALVING)
    columns = [name for name in run.trials.columns if name != "seconds"]
    pd.testing.assert_frame_equal(run.trials[columns], halving.trials[columns], check_exact=True)
    pd.testing.assert_frame_equal(comparable_history(run), comparable_history(halving), check_exact=True)


def test_promotions_over_two_sessions(
    stop_after: Callable[[RunFolder, int | None], None], tmp_path: Path, squares: Path, cache: Path
) -> None:
    scheduler = {"type": "asha_promotion", "reduction_factor": 2}
    sections = {**HALVING, "search": {"algorithm": "random", "trials": 8, "concurrency": 2}, "scheduler": scheduler}
    run = interrupted_and_resumed(tmp_path, stop_after, [6], squares, cache, **sections)
    events = list(run.folder.events())
    assert set(run.trials["status"]) == {"pruned", "completed"} and (run.trials["last_epoch"] == 4).any()
    assert "waiting" in {event["status"] for event in events if event["event"] == "trial_paused"}
    assert "promoted" in {event["reason"] for event in events if event["event"] == "trial_continued"}


def _half(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize("damage", [_half, pytest.param(Path.unlink, marks=pytest.mark.slow)])
def test_a_damaged_checkpoint_costs_only_time(
    damage: Callable[[Path], None],
    stop_after: Callable[[RunFolder, int | None], None],
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
    resume_search(folder.path)
    run = check_whole(folder)
    warnings = {event["epoch"]: event.get("warning", "") for event in folder.events() if event["event"] == "epoch"}
    # The epoch after the third was perhaps logged by the worker that was stopped.
    assert "trial 0 restarts from epoch 1" in warnings[6] and "last.safetensors" in warnings[6] and not warnings[2]
    whole = small_search(tmp_path / "whole", squares, cache, **sections)
    pd.testing.assert_frame_equal(comparable_history(run), comparable_history(whole), check_exact=True)


def test_a_finished_run_takes_more_trials(tmp_path: Path, squares: Path, cache: Path) -> None:
    sections: dict[str, Any] = {
        **HALVING,
        "search": {"algorithm": "random", "trials": 3, "concurrency": 1},
        "training": {"epochs": 2},
    }
    first = small_search(tmp_path, squares, cache, **sections)
    before = first.folder.events_file.read_bytes()
    assert len(resume_search(first.folder.path).records) == 3
    assert first.folder.events_file.read_bytes() == before, "nothing was left to do"
    resume_search(first.folder.path, ["search.trials=5", "search.concurrency=2", "checkpoints.keep=1"])
    run = check_whole(first.folder)
    assert len(run.records) == 5 and run.folder.settings()["search"]["trials"] == 5
    assert run.folder.events_file.read_bytes().startswith(before)
    assert len(list(run.folder.checkpoints.iterdir())) == 1
    [session] = [e for e in run.folder.events() if e["event"] == "session_started" and e["session"] == 2]
    assert session["overrides"] == ["search.trials=5", "search.concurrency=2", "checkpoints.keep=1"]
    for text, message in (
        ("search.trials=4", "5 trials have started, got 4"),
        ("search.metric=val_loss", "search.metric: is part of what the run's figures mean"),
        ("space.learning_rate=[0.1]", "space.learning_rate"),
        ("training.epochs=9", "training.epochs: is part of what the run's figures mean: it stays 2, got 9"),
        ("data.split.seed=1", "data.split.seed"),
        ("scheduler.type=none", "scheduler.type"),
        ("search.seed=3", "search.seed"),
    ):
        with pytest.raises(ConfigError, match="search.yaml|trials") as error:
            resume_search(run.folder.path, [text])
        assert message in str(error.value)
    assert load_run(run.folder.path).folder.settings()["search"]["trials"] == 5


def test_a_run_has_one_driver_and_its_own_data(tmp_path: Path, squares: Path, cache: Path) -> None:
    run = small_search(tmp_path, squares, cache, space={"dropout": [0.2]}, training={"epochs": 1})
    with (
        driving(run.folder),
        pytest.raises(ConfigError, match=f"another process drives this run .process {os.getpid()} on "),
    ):
        resume_search(run.folder.path)
    with pytest.raises(ConfigError, match="not a run folder"):
        resume_search(tmp_path)
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
        resume_search(changed.folder.path, ["search.trials=2"])


def test_the_time_budget_counts_all_sessions(tmp_path: Path, squares: Path, cache: Path) -> None:
    config = small_config(
        tmp_path,
        squares,
        cache,
        training={"epochs": 2000, "patience": 0},
        search={"algorithm": "grid", "time_budget": 5.0},
    )
    from thaw.search.sessions.tuner import run_search

    run = run_search(config)
    assert [event["reason"] for event in run.folder.events() if event["event"] == "session_ended"] == ["time_budget"]
    with pytest.raises(ConfigError, match="s are used of 5"):
        resume_search(run.folder.path)
    run = resume_search(run.folder.path, ["search.time_budget=12s"])
    ends = [event for event in run.folder.events() if event["event"] == "session_ended"]
    assert [event["reason"] for event in ends] == ["time_budget", "time_budget"]
    assert sum(event["seconds"] for event in ends) >= 12 and ends[1]["seconds"] < 30
    assert len(run.records) == 2 and set(run.trials["status"]) == {"interrupted"}
