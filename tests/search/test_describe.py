"""`thaw data`, `thaw describe` and `--dry-run`: information before anything starts."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from torchvision import models

from tests.conftest import ROOT
from tests.searches import small_config
from thaw.analysis.words import duration
from thaw.search.describe import describe_architecture
from thaw.search.describe_data import describe_data
from thaw.search.dry_run import _print_storage, dry_run, longest_time
from thaw.search.prepare.data_set import data_facts, load_dataset
from thaw.search.prepare.preflight import prepare
from thaw.spaces import FROM_SCRATCH, STAGES, ConfigError
from thaw.trainables.data.dataset import read_dataset
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.table import ARCHITECTURES

PAPER_LABELS = ROOT.parent / "shared" / "paper" / "train-first1412.txt"


def shown(show: Callable[[Console], None]) -> str:
    """The output on a terminal of 160 columns, without styles."""
    console = Console(width=160, record=True, quiet=False, file=open("/dev/null", "w"))  # noqa: SIM115
    show(console)
    return console.export_text()


def cells(text: str, first: str) -> list[str]:
    """The cells of the table row that begins with `first`."""
    row = re.search(rf"^[│\s]*({re.escape(first)}(?:\s*│|  ).*)$", text, re.MULTILINE)
    assert row, f"no row {first!r} in\n{text}"
    return [cell for cell in re.split(r"\s*│\s*|\s{2,}", row[1].strip()) if cell]


@pytest.mark.skipif(not PAPER_LABELS.is_file(), reason="the paper's label file is not at hand")
def test_the_papers_labels(tmp_path: Path) -> None:
    dataset = read_dataset(tmp_path, PAPER_LABELS)
    facts = data_facts(small_config(tmp_path, tmp_path, tmp_path), dataset)
    text = shown(lambda console: describe_data(facts, dataset, console))
    rows = [line.split("\t")[1].split(",") for line in PAPER_LABELS.read_text().splitlines() if line.strip()]
    assert len(rows) == 1412
    assert "1,412 images" in text and "1,412 images are absent" in text
    alone, ones = sum(len(row) == 1 for row in rows), sum("1" in row for row in rows)
    assert cells(text, "1")[1:3] == [str(ones), f"{ones / 1412:.2%}"]
    last = text[text.rindex("labels per image") :]
    assert cells(last, "1")[1:3] == [str(alone), f"{alone / 1412:.2%}"] == ["1100", "77.90%"]


def test_the_squares(tmp_path: Path, squares: Path, cache: Path) -> None:
    config = small_config(tmp_path, squares, cache)
    dataset = load_dataset(config)
    text = shown(lambda console: describe_data(data_facts(config, dataset), dataset, console))
    assert "120 images; 3 labels" in text and "absent" not in text and "cannot be used" not in text
    assert "split: 70% train, 20% validation, 10% test, at random, stratified over the labels" in " ".join(text.split())
    written = (squares / "labels.csv").read_text()
    for colour in ("red", "green", "blue"):
        count = written.count(colour)
        assert cells(text, colour)[1:3] == [str(count), f"{count / 120:.2%}"]
    last = text[text.rindex("labels per image") :]
    assert cells(last, "1")[1:3] == ["60", "50.00%"] and cells(last, "2")[1:3] == ["60", "50.00%"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_by_depth(name: str) -> None:
    depths = (0,) if name in FROM_SCRATCH else (0, 2, 4, STAGES)
    trained, share = [], []
    for depth in depths:
        text = shown(partial(describe_architecture, name, depth, 64))
        states = re.findall(r"│\s+\d\s+│ (frozen|trained)", text) or re.findall(r"\b(frozen|trained)\s+│", text)
        stages = len(resolve(name, "none", 64).cost.stages)
        assert states == ["frozen"] * depth + ["trained"] * (stages - depth)
        match = re.search(r"([\d,]+) weights are trained, and the head", text)
        cost = re.search(r"costs about (\d+)% of one", text)
        assert match and cost
        trained.append(int(match[1].replace(",", "")))
        share.append(int(cost[1]))
    assert trained == sorted(set(trained), reverse=True), "the frozen part grows with the depth"
    assert share == sorted(share, reverse=True) and share[0] == 100
    if name not in FROM_SCRATCH:
        assert trained[-1] == 0 and share[-1] == 33


@pytest.mark.parametrize(
    ("name", "classifier"), [("resnet50", "fc"), ("mobilenet_v2", "classifier"), ("vgg16", "classifier")]
)
def test_weights_are_those_of_the_network_without_its_classifier(name: str, classifier: str) -> None:
    text = shown(lambda console: describe_architecture(name, 0, 224, console))
    match = re.search(r"([\d,]+) weights are trained", text)
    network = models.get_model(name, weights=None)
    head = sum(p.numel() for p in network.get_submodule(classifier).parameters())
    assert match and int(match[1].replace(",", "")) == sum(p.numel() for p in network.parameters()) - head
    if name == "resnet50":
        assert match[1] == "23,508,032" and "2048 × 7 × 7" in text


def test_a_network_from_scratch_has_nothing_to_freeze() -> None:
    with pytest.raises(ConfigError, match="convnet has no pretrained weights, so freeze depth must be 0, got 2"):
        shown(lambda console: describe_architecture("convnet", 2, 64, console))


def test_too_small_images_are_refused() -> None:
    with pytest.raises(ConfigError, match="vgg16 fails on images of 16 pixels: .*; give larger images"):
        shown(lambda console: describe_architecture("vgg16", 0, 16, console))


def test_a_dry_run_says_what_a_search_would_cost_and_starts_nothing(tmp_path: Path, squares: Path, cache: Path) -> None:
    config = small_config(
        tmp_path,
        squares,
        cache,
        weights="none",
        space={"architecture": ["convnet", "mobilenet_v3_small"], "dropout": [0.0, 0.2, 0.4]},
        training={"architecture": None},
    )
    before = set(tmp_path.rglob("*"))
    text = shown(lambda console: dry_run(config, console))
    assert "6 trials, " in text and str(tmp_path / "results" / "squares") in text
    assert "84 images to train on" in text and "0 cannot be used" in text
    for name in ("convnet", "mobilenet_v3_small"):
        assert float(cells(text, name)[1]) >= 0
    assert "if every trial trains 2 epochs" in text and "stopped early" not in text, "the scheduler is none"
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("epochs", "trials", "concurrency", "text"),
    [
        (1, 1, 1_000_000, "1 s"),
        (2, 3, 64, "1 s"),
        (100, 50, 4, "1 min 57 s"),
        (100, 1_000_000, 1, "104 d 4 h"),
        (1_000_000, 1_000_000, 64, "16,276 d 1 h"),
    ],
)
def test_a_dry_run_gives_a_possible_time(epochs: int, trials: int, concurrency: int, text: str) -> None:
    """Also of a huge space, and of one trial among many processors: never 0 seconds."""
    costs = {("convnet", 0): 0.09, ("resnet18", 0): 0.12, ("resnet18", 5): 0.06}
    assert duration(longest_time(costs, epochs, trials, concurrency)) == text


def test_a_dry_run_judges_stored_activations_by_the_gpu_where_they_fit_there(
    tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sections: dict[str, Any] = {"training": {"architecture": "resnet18"}, "space": {"freeze_depth": [5]}}
    weights = {"resnet18": str(resnet18_file)}
    prepared = prepare(small_config(tmp_path, squares, cache, weights=weights, **sections))
    found = []
    for gpu, seen, room in ((0.0, "cpu", 1e9), (0.5, "cuda", 1e9), (0.5, "cuda", 1e5), (0.5, "cpu", 1e9)):
        resources = prepared.config.resources.model_copy(update={"gpu": gpu})
        there = replace(prepared, config=prepared.config.model_copy(update={"resources": resources}))
        monkeypatch.setattr("thaw.search.dry_run.default_device", lambda gpu, seen=seen: torch.device(seen))
        monkeypatch.setattr("thaw.trainables.activations.resident.memory_left", lambda device, room=room: room)
        text = shown(lambda console, there=there: _print_storage(there, console))
        _, depth, size, place, gain, stored = cells(text, "resnet18")
        assert (depth, size) == ("1", "65.5")
        found.append((place, float(gain), stored))
    on_cpu, on_gpu, crowded, elsewhere = found
    assert on_gpu[0] == "GPU's memory" and on_cpu[0] == crowded[0] == "file"
    # A GPU computes so fast that a file is no gain, where a processor or its own memory may be.
    assert on_gpu[1] > on_cpu[1] > crowded[1] and crowded == elsewhere and crowded[2] == "no"
