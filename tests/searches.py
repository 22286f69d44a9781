"""Helpers for tests that run whole searches on the coloured squares."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import torch
import yaml
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from thaw.analysis.run import Run, load_run
from thaw.analysis.run_folder import RunFolder
from thaw.search.sessions.resume import resume_search
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import SearchConfig, load_config
from thaw.spaces import TrialConfig
from thaw.trainables.context import RunContext
from thaw.trainables.messages import EpochRow, Failure
from thaw.trainables.training.loop import Training, train

GRID = {"learning_rate": [0.0001, 0.003], "dropout": [0.0, 0.4]}

HALVING: dict[str, Any] = {
    "space": {
        "learning_rate": {"log": [1e-4, 1e-2]},
        "optimizer": ["adamw", "sgd"],
        "momentum": {"float": [0.8, 0.99], "when": {"optimizer": "sgd"}},
    },
    "training": {"epochs": 4},
    # TPE draws its first ten at random.
    "search": {"algorithm": "tpe", "trials": 12, "concurrency": 1, "start_with": [{"learning_rate": 0.003}]},
    "scheduler": {"type": "asha", "grace_period": 1, "reduction_factor": 2},
}
"""Twelve TPE trials under ASHA, one at a time; the first is given."""


def search_file(folder: Path, squares: Path, cache: Path, **sections: Any) -> Path:
    """Write a search file for a small ConvNet on 32-pixel images; `sections` replace or add to the defaults."""
    content: dict[str, Any] = {
        "name": "squares",
        "data": {"images": str(squares / "images"), "labels": str(squares / "labels.csv"), "image_size": 32},
        "space": GRID,
        "training": {"architecture": "convnet", "epochs": 2, "head_units": 16},
        "search": {"algorithm": "grid"},
        "scheduler": {"type": "none"},
        "cache": {"directory": str(cache)},
        "output": str(folder / "results"),
    }
    for name, value in sections.items():
        content[name] = {**content[name], **value} if name in ("data", "training") else value
    # None removes the default of a hyperparameter that the test searches.
    content["training"] = {key: value for key, value in content["training"].items() if value is not None}
    file = folder / "search.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def small_config(folder: Path, squares: Path, cache: Path, **sections: Any) -> SearchConfig:
    return load_config(search_file(folder, squares, cache, **sections))


def small_search(folder: Path, squares: Path, cache: Path, *, backend: str = "inline", **sections: Any) -> Run:
    """Run such a search, in this process unless another backend is named."""
    folder.mkdir(parents=True, exist_ok=True)
    return run_search(small_config(folder, squares, cache, **sections), backend=backend)


def resume(folder: RunFolder, overrides: Sequence[str] = (), *, backend: str = "inline") -> Run:
    """Resume a search, in this process unless another backend is named."""
    return resume_search(folder.path, overrides, backend=backend)


def trained(config: TrialConfig, context: RunContext) -> Iterator[EpochRow | Failure]:
    """Train one configuration to its end on the CPU, without a search."""
    return train(Training(config, context, context.open_images(), torch.device("cpu")))


def comparable_history(run: Run) -> pd.DataFrame:
    """The history by configuration instead of trial number, without times."""
    configs = {number: str(sorted(record.config.items())) for number, record in run.records.items()}
    table = pd.read_csv(run.folder.history_file)
    table.insert(0, "config", table.pop("trial").map(configs))
    table = table[[name for name in table if not str(name).startswith("seconds")]]
    return table.sort_values(["config", "epoch"], ignore_index=True)


def check_whole(folder: RunFolder) -> Run:
    """Check that nothing in a run is lost, duplicated or orphaned."""
    run = load_run(folder.path)
    events = list(folder.events())
    started = [event["trial"] for event in events if event["event"] == "trial_started"]
    ended = [event["trial"] for event in events if event["event"] == "trial_ended"]
    rows = [(event["trial"], event["epoch"]) for event in events if event["event"] == "epoch"]
    assert started == list(range(len(started))) and len(set(ended)) == len(ended) and len(set(rows)) == len(rows)
    storage = JournalStorage(JournalFileBackend(str(folder.study_file)))
    study = optuna.load_study(study_name=None, storage=storage).trials
    assert [trial.user_attrs["trial"] for trial in study] == list(range(len(study))), "one number in all tools"
    assert sorted(trial.number for trial in study if trial.state.is_finished()) == sorted(ended)
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
