"""A search from Python: a dictionary gives a run with methods that correspond to the commands."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

import thaw
from tests.searches import search_file
from thaw.search.python_api import SearchRun
from thaw.search.settings.config import config_from, load_config
from thaw.spaces import ConfigError

SEARCH: Any = thaw.search
"""Called as a function; for a type checker of this package, it is one of its packages."""


def settings(squares: Path, folder: Path, cache: Path) -> dict[str, Any]:
    return {
        "data": {"images": squares / "images", "labels": squares / "labels.csv", "image_size": 32},
        "space": {"learning_rate": (np.float64(0.001), 0.003)},
        "training": {"architecture": "convnet", "epochs": 1, "head_units": 16},
        "search": {"algorithm": "grid"},
        "cache": {"directory": cache},
        "output": folder,
    }


def test_the_package_is_the_function_too() -> None:
    assert isinstance(thaw.search, ModuleType) and callable(thaw.search)
    assert thaw.search is sys.modules["thaw.search"] and thaw.__version__


def test_a_dictionary_is_searched_and_the_run_does_what_commands_do(
    tmp_path: Path, squares: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = SEARCH(settings(squares, tmp_path, cache), name="chosen", backend="inline", progress=False)
    assert isinstance(run, SearchRun) and run.folder.path == tmp_path / "chosen"
    assert list(run.trials["learning_rate"]) == [0.001, 0.003] and len(run.history) == 2
    assert run.best is not None and run.plot("learning_curves")
    assert capsys.readouterr().out == "", "no progress"
    found = run.confirm(top=1, folds=2, backend="inline", progress=False)
    assert found is not None and found["chosen"] in run.records
    bundle = run.export(tmp_path / "model", progress=False)
    assert bundle.predict(squares / "images" / "0.png")[0].probabilities.keys() == {"blue", "green", "red"}
    assert thaw.load_run(run.folder.path).best == run.best


def test_a_dictionary_means_what_a_file_means(tmp_path: Path, squares: Path, cache: Path) -> None:
    file = search_file(tmp_path, squares, cache)
    config = load_config(file)
    assert config_from(config.model_dump()) == config


def test_lists_may_be_ranges_and_arrays(squares: Path, tmp_path: Path, cache: Path) -> None:
    written = {"name": "x", **settings(squares, tmp_path, cache)}
    space = {"freeze_depth": range(3), "learning_rate": np.logspace(-4, -2, 3), "batch_size": torch.tensor([8, 16])}
    searched = config_from({**written, "space": space}).search_space
    assert searched.options("freeze_depth") == (0, 1, 2) and searched.options("batch_size") == (8, 16)
    assert searched.options("learning_rate") == pytest.approx((1e-4, 1e-3, 1e-2))
    around: dict[str, Any] = {**written}
    around["space"] = around
    for given, message in (
        (
            {**written, "space": {"dropout": range(10**9)}},
            r"space\.dropout: a list may have 10,000 values, got 1,000,000",
        ),
        (around, "values may be nested 20 deep"),
        ({**written, "space": {"dropout": {0.1, 0.2}}}, "space.dropout: .*, got {0.[12], 0.[12]}"),
    ):
        with pytest.raises(ConfigError, match=message):
            config_from(given)


def test_errors_name_key_and_rule(squares: Path, tmp_path: Path, cache: Path) -> None:
    with pytest.raises(ConfigError, match=r"search\.trials.*greater than or equal to 1"):
        SEARCH(settings(squares, tmp_path, cache), search={"trials": 0})
    with pytest.raises(ConfigError, match="data: this key is required"):
        SEARCH(space={"dropout": [0.1, 0.2]})
    config = load_config(search_file(tmp_path, squares, cache))
    for call, words in (
        (
            lambda: thaw.run_search(str(tmp_path / "search.yaml")),
            "run_search: takes a configuration, .*, got str; thaw",
        ),
        (
            lambda: thaw.load_config({"name": "a"}),
            "load_config: takes the path of a search file, got a dictionary; thaw",
        ),
        (lambda: SEARCH(config), "thaw.search: takes .* a dictionary, or a search file, got SearchConfig; run_search"),
        (lambda: load_config("a.yaml", "search.trials=3"), "overrides: must be a list of texts, got 'search.trials=3'"),
        (lambda: load_config("a.yaml", [("search.trials", 3)]), "overrides: must be a list of texts, got"),
    ):
        with pytest.raises(ConfigError, match=words):
            call()
