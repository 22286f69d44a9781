"""Importance on searches with a known answer: freeze depth decides everything, and most trials are pruned."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.synthetic_runs import synthetic_run
from thaw.analysis.importance import MIN_LATER, MIN_TRIALS, importance
from thaw.analysis.run import Run, load_run
from thaw.analysis.tables import TrialRecord
from thaw.search.engine.rules import RULES
from thaw.spaces import SearchSpace, metric

SPACE: dict[str, Any] = {
    "architecture": ["convnet", "resnet18"],
    "freeze_depth": {"int": [0, 5]},
    "learning_rate": {"log": [1e-5, 1e-2]},
    "dropout": {"float": [0.0, 0.6]},
}
BY_DEPTH = [0.10, 0.15, 0.30, 0.80, 0.50, 0.20]
EPOCHS = 9


def search(
    folder: Path,
    trials: int,
    objective: str = "val_map",
    scheduler: str = "asha",
    by_depth: list[float] = BY_DEPTH,
    alike: float = 0.0,
    architectures: Sequence[str] = ("convnet", "resnet18"),
) -> Run:
    """A search whose values depend on freeze depth and a little noise alone, stopped by the real rule.

    Every trial begins at `alike`; each epoch halves its distance to the value of its depth.
    """
    folder.mkdir()
    rng = random.Random(1)
    training = {"epochs": EPOCHS}
    searched = {**SPACE, "architecture": list(architectures)}
    space = SearchSpace.parse(searched, training)
    rule = RULES[scheduler](metric(objective), EPOCHS, 1, 3)
    events: list[dict[str, Any]] = [{"event": "session_started", "overrides": {}}]
    for trial in range(trials):
        config = space.config(space.sample(rng)).model_dump()
        events.append({"event": "trial_started", "trial": trial, "config": config})
        for epoch in range(1, EPOCHS + 1):
            gone = 1 - 0.5 ** (epoch - (alike > 0))
            quality = alike + (by_depth[config["freeze_depth"]] - alike) * gone + rng.gauss(0, 0.01)
            value = quality if objective == "val_map" else 1 / (quality + 0.1)
            row = {"metrics": {objective: value}, "seconds": {}, "learning_rate": 0.1, "parameters": 1}
            events.append({"event": "epoch", "trial": trial, "epoch": epoch, **row})
            record = TrialRecord(trial, config)
            decision = rule.decide(record, epoch, value)
            rule.note(record, epoch, value, decision.verdict)
            if stop := decision.verdict == "stop":
                break
        status = "pruned" if stop else "completed"
        events.append({"event": "trial_ended", "trial": trial, "status": status, "reason": ""})
    settings = {
        "space": searched,
        "training": training,
        "weights": "imagenet",
        "search": {"metric": objective},
        "scheduler": {"type": scheduler, "grace_period": 1},
    }
    (folder / "search.yaml").write_text(yaml.safe_dump(settings))
    lines = [json.dumps({"time": 1.0, "session": 1, **event}) + "\n" for event in events]
    (folder / "events.jsonl").write_text("".join(lines))
    return load_run(folder)


@pytest.mark.parametrize("objective", ["val_map", "val_loss"])
def test_freeze_depth_comes_first_where_it_decides_everything(tmp_path: Path, objective: str) -> None:
    run = search(tmp_path / "run", 64, objective)
    assert (run.trials["status"] == "pruned").sum() >= 48, "those that are left are nearly alike"
    table = importance(run)
    assert importance(run) is table, "computed once for a run"
    assert list(table) == ["architecture", "hyperparameter", "importance", "low", "high", "trials"]
    parts = {name: part for name, part in table.groupby("architecture", sort=False)}
    assert list(parts) == ["all", "resnet18"], "within convnet, which cannot be frozen, nothing matters"
    for part in parts.values():
        assert part["importance"].sum() == pytest.approx(1)
        assert part["importance"].is_monotonic_decreasing and (part["importance"] >= 0).all()
    # Whether a network can be thawed at all counts, too: over all of them the architecture may come first.
    assert parts["all"]["hyperparameter"].iloc[0] in ("freeze_depth", "architecture")
    assert parts["resnet18"]["hyperparameter"].iloc[0] == "freeze_depth"
    assert parts["resnet18"]["importance"].iloc[0] > 0.9
    counts = run.trials["architecture"].value_counts()
    assert set(parts["all"]["trials"]) == {64} and set(parts["resnet18"]["trials"]) == {counts["resnet18"]}
    assert "architecture" not in set(parts["resnet18"]["hyperparameter"])


def test_importance_sees_depths_that_differ_late(tmp_path: Path) -> None:
    """After one epoch all depths look alike; at the end the best values by depth go from 0.51 to 0.93."""
    run = search(tmp_path / "run", 30, by_depth=[0.93, 0.90, 0.85, 0.75, 0.62, 0.51], alike=0.35)
    rows = importance(run)
    within = rows[rows["architecture"] == "resnet18"].set_index("hyperparameter")
    depth = within.loc["freeze_depth"]
    assert depth["importance"] > 0.6 and depth["low"] <= depth["importance"] <= depth["high"]


def test_a_space_may_have_more_architectures_than_samples(tmp_path: Path) -> None:
    """Of 400 architectures, most do not occur among 160 configurations drawn at random."""
    many = [f"timm:network{number}" for number in range(400)]
    run = search(tmp_path / "run", 24, scheduler="none", architectures=many)
    for number, record in run.records.items():
        record.config["architecture"] = many[number // 12]
    rows = importance(run)
    assert {"all", many[0], many[1]} >= set(rows["architecture"]) >= {"all"}


def test_a_hyperparameter_without_effect_has_none(tmp_path: Path) -> None:
    """Learning rate and dropout have no effect here, with any stopping."""
    for scheduler in ("asha", "none"):
        rows = importance(search(tmp_path / scheduler, 48, scheduler=scheduler))
        idle = rows[rows["hyperparameter"].isin(["learning_rate", "dropout"]) & (rows["architecture"] == "resnet18")]
        assert (idle["importance"] < 0.1).all()


def test_few_trials_say_nothing(tmp_path: Path) -> None:
    assert importance(search(tmp_path / "few", MIN_TRIALS - 1)).empty
    assert not importance(search(tmp_path / "enough", MIN_TRIALS)).empty


@pytest.mark.parametrize("later", [MIN_LATER - 1, MIN_LATER])
def test_few_trials_that_continued_say_nothing(tmp_path: Path, later: int) -> None:
    """All others are stopped after one epoch, which says little of the last one."""
    run = search(tmp_path / "run", 24, scheduler="none")
    for number in range(later, 24):
        run.records[number].epochs = {1: run.records[number].epochs[1]}
        run.records[number].status = "pruned"
    assert importance(run).empty == (later < MIN_LATER)


@pytest.mark.parametrize("trials", [0, 1, 300])
def test_runs_of_any_size(tmp_path: Path, trials: int) -> None:
    table = importance(synthetic_run(tmp_path / "run", trials, running=min(trials, 2)))
    assert table.empty == (trials < MIN_TRIALS)
    assert table.groupby("architecture")["importance"].sum().to_numpy() == pytest.approx(1)
