"""Searches that train heads together give the results of training one head at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.interruption import StopAfter, interrupted_and_resumed
from tests.searches import check_whole, comparable_history, small_config, small_search
from thaw.analysis.run import Run
from thaw.search.backends import BACKENDS
from thaw.search.prepare import resources
from thaw.search.prepare.resources import Available, resolve_resources
from thaw.search.sessions.tuner import run_search
from thaw.spaces import ConfigError
from thaw.trainables.training import trial

TOGETHER = {"cpu": 1, "gpu": 0, "heads_per_trial": 3}
TRAINING = {"architecture": "resnet18", "freeze_depth": 5, "epochs": 4, "patience": 0, "batch_size": 16}

GRID: dict[str, Any] = {
    "space": {"learning_rate": [1e-3, 1e-2], "weight_decay": [0.0, 0.1], "dropout": [0.0, 0.6]},
    "search": {"algorithm": "grid", "concurrency": 3},
}
TPE: dict[str, Any] = {
    "space": {"learning_rate": {"log": [1e-4, 1e-1]}, "dropout": {"float": [0.0, 0.8]}, "optimizer": ["adamw", "sgd"]},
    "search": {"algorithm": "tpe", "trials": 14, "concurrency": 3},
    "scheduler": {"type": "asha", "grace_period": 1, "reduction_factor": 2},
}


@pytest.fixture(autouse=True)
def four_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    """With fewer, three trials at once would not be allowed."""
    monkeypatch.setattr(resources, "this_machine", lambda: Available(4, 0))


@pytest.fixture
def groups(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of heads in each group that was trained."""
    sizes: list[int] = []
    original = trial.epoch_together
    monkeypatch.setattr(trial, "epoch_together", lambda heads: sizes.append(len(heads)) or original(heads))
    return sizes


@pytest.fixture
def heads(tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path) -> Any:
    """Runs a search for heads in a folder of this name."""

    def search(name: str, **sections: Any) -> Run:
        weights = {"resnet18": str(resnet18_file)}
        return small_search(tmp_path / name, squares, cache, weights=weights, training=TRAINING, **sections)

    return search


def assert_same(ours: Run, theirs: Run) -> None:
    fates = ["status", "last_epoch"]
    pd.testing.assert_frame_equal(ours.trials[fates], theirs.trials[fates])
    tables = [comparable_history(run) for run in (ours, theirs)]
    pd.testing.assert_frame_equal(*tables, check_exact=False, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("sections", [pytest.param(GRID, id="grid"), pytest.param(TPE, id="tpe and asha")])
def test_the_same_rows_and_the_same_end_of_each_trial(heads: Any, groups: list[int], sections: dict[str, Any]) -> None:
    run = heads("together", resources=TOGETHER, **sections)
    assert max(groups) == 3 and min(groups) >= 2
    assert_same(check_whole(run.folder), heads("alone", **sections))
    if sections is TPE:
        assert {"pruned", "completed"} == set(run.trials["status"])


def test_a_search_that_is_interrupted_continues(
    heads: Any, stop_after: StopAfter, tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path
) -> None:
    """The trials of a group are resumed from checkpoints of their own."""
    weights = {"resnet18": str(resnet18_file)}
    sections = {**TPE, "weights": weights, "training": TRAINING, "resources": TOGETHER}
    run = interrupted_and_resumed(tmp_path, stop_after, [4], squares, cache, **sections)
    assert run.trials["status"].notna().all()
    assert_same(run, heads("whole", resources=TOGETHER, **TPE))


def test_an_error_within_a_group_ends_that_group_alone(heads: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    original, calls = trial.epoch_together, []

    def breaks(trainings: Any) -> Any:
        calls.append(len(trainings))
        if len(calls) == 2:
            raise RuntimeError("CUDA error: cuBLAS: CUBLAS_STATUS_ALLOC_FAILED")
        return original(trainings)

    monkeypatch.setattr(trial, "epoch_together", breaks)
    run = check_whole(heads("broken", resources=TOGETHER, **GRID).folder)
    assert set(run.trials["status"]) == {"completed"}
    assert [record.failures for record in run.records.values()] == [1, 1, 1, 0, 0, 0, 0, 0]
    assert_same(run, heads("whole", **GRID))


def test_thawed_trials_are_refused(tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path) -> None:
    sections: dict[str, Any] = {"weights": {"resnet18": str(resnet18_file)}, "resources": TOGETHER}
    training = {**TRAINING, "freeze_depth": None}
    config = small_config(tmp_path, squares, cache, space={"freeze_depth": [3, 5]}, training=training, **sections)
    with pytest.raises(ConfigError, match="resources.heads_per_trial: only heads .* got 3, 5; search heads alone"):
        resolve_resources(config, [Available(2, 0)])


def test_as_many_heads_run_as_fit_together(tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path) -> None:
    sections: dict[str, Any] = {"weights": {"resnet18": str(resnet18_file)}, "training": TRAINING}
    space = {"learning_rate": {"log": [1e-4, 1e-1]}}
    search = {"algorithm": "random", "trials": 100}
    config = small_config(tmp_path, squares, cache, space=space, search=search, resources=TOGETHER, **sections)
    assert resolve_resources(config, [Available(2, 0)]).search.concurrency == 6
    search["concurrency"] = 7
    config = small_config(tmp_path, squares, cache, space=space, search=search, resources=TOGETHER, **sections)
    with pytest.raises(ConfigError, match="only 6 trials fit at once, got 7"):
        resolve_resources(config, [Available(2, 0)])


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "inline"])
def test_workers_train_one_trial_each(
    backend: str, tmp_path: Path, resnet18_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said before anything is read, even whether there are images."""
    monkeypatch.chdir(tmp_path)
    sections: dict[str, Any] = {
        "weights": {"resnet18": str(resnet18_file)},
        "training": TRAINING,
        "resources": TOGETHER,
    }
    config = small_config(tmp_path, tmp_path / "nowhere", tmp_path / "cache", space=GRID["space"], **sections)
    with pytest.raises(ConfigError, match=f"heads_per_trial: backend {backend} trains one .* got 3; use --backend"):
        run_search(config, backend=backend)
