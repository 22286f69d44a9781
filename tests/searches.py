"""Helpers for tests that run whole searches on the coloured squares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from thaw.analysis.run import Run
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import SearchConfig, load_config

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
"""Twelve TPE trials under ASHA, one at a time; the first is wanted."""


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
    # None takes a default away, where a test searches that hyperparameter.
    content["training"] = {key: value for key, value in content["training"].items() if value is not None}
    file = folder / "search.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def small_config(folder: Path, squares: Path, cache: Path, **sections: Any) -> SearchConfig:
    return load_config(search_file(folder, squares, cache, **sections))


def small_search(folder: Path, squares: Path, cache: Path, **sections: Any) -> Run:
    """Run such a search in this process."""
    folder.mkdir(parents=True, exist_ok=True)
    return run_search(small_config(folder, squares, cache, **sections))


def comparable_history(run: Run) -> pd.DataFrame:
    """The history by configuration instead of trial number, times aside."""
    configs = {number: str(sorted(record.config.items())) for number, record in run.records.items()}
    table = pd.read_csv(run.folder.history_file)
    table.insert(0, "config", table.pop("trial").map(configs))
    table = table[[name for name in table if not str(name).startswith("seconds")]]
    return table.sort_values(["config", "epoch"], ignore_index=True)
