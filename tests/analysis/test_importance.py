"""Importance, worked out by hand and on a search where freeze depth decides everything and most trials are pruned."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from tests.synthetic_runs import synthetic_run
from thaw.analysis.importance import MIN_TRIALS, explained, importance, rung_values
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


def search(folder: Path, trials: int, objective: str = "val_map", scheduler: str = "asha") -> Run:
    """A search whose values depend on freeze depth alone, but for a little noise, with the real rule for stopping."""
    folder.mkdir()
    rng = random.Random(1)
    training = {"epochs": EPOCHS}
    space = SearchSpace.parse(SPACE, training)
    rule = RULES[scheduler](metric(objective), EPOCHS, 1, 3)
    events: list[dict[str, Any]] = [{"event": "session_started", "overrides": {}}]
    for trial in range(trials):
        config = space.config(space.sample(rng)).model_dump()
        events.append({"event": "trial_started", "trial": trial, "config": config})
        for epoch in range(1, EPOCHS + 1):
            quality = BY_DEPTH[config["freeze_depth"]] * (1 - 0.5**epoch) + rng.gauss(0, 0.01)
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
        "space": SPACE,
        "training": training,
        "weights": "imagenet",
        "search": {"metric": objective},
        "scheduler": {"type": scheduler, "grace_period": 1},
    }
    (folder / "search.yaml").write_text(yaml.safe_dump(settings))
    lines = [json.dumps({"time": 1.0, "session": 1, **event}) + "\n" for event in events]
    (folder / "events.jsonl").write_text("".join(lines))
    return load_run(folder)


def test_explained_by_hand() -> None:
    # Mean 4, squares in all 20, within the groups 2 + 2, so between 16; chance: (2 - 1) · 4 / (4 - 2) = 2.
    assert explained(pd.Series([0, 0, 1, 1]), pd.Series([1.0, 3.0, 5.0, 7.0])) == pytest.approx((16 - 2) / 20)
    assert explained(pd.Series([0, 1, 0, 1]), pd.Series([1.0, 1.0, 5.0, 5.0])) == 0.0, "below chance"
    assert explained(pd.Series([0, 1]), pd.Series([1.0, 2.0])) == 0.0, "every value is a group of its own"
    assert explained(pd.Series([0, 0, 1, 1]), pd.Series([2.0] * 4)) == 0.0, "nothing varies"


@pytest.mark.parametrize("objective", ["val_map", "val_loss"])
def test_freeze_depth_comes_first_where_it_decides_everything(tmp_path: Path, objective: str) -> None:
    run = search(tmp_path / "run", 64, objective)
    assert (run.trials["status"] == "pruned").sum() >= 48, "those that are left are nearly alike"
    table = importance(run)
    assert list(table) == ["architecture", "hyperparameter", "importance", "trials"]
    parts = {name: part for name, part in table.groupby("architecture", sort=False)}
    assert list(parts) == ["all", "resnet18"], "within convnet, which cannot be frozen, nothing matters"
    for part in parts.values():
        assert part["importance"].sum() == pytest.approx(1)
        assert part["importance"].is_monotonic_decreasing and (part["importance"] >= 0).all()
        assert part["hyperparameter"].iloc[0] == "freeze_depth"
    assert parts["resnet18"]["importance"].iloc[0] > 0.9
    counts = run.trials["architecture"].value_counts()
    assert set(parts["all"]["trials"]) == {64} and set(parts["resnet18"]["trials"]) == {counts["resnet18"]}
    assert "architecture" not in set(parts["resnet18"]["hyperparameter"])


def test_values_are_those_at_the_first_rung(tmp_path: Path) -> None:
    run = search(tmp_path / "run", 6)
    assert rung_values(run).to_dict() == {
        number: record.epochs[1]["metrics"]["val_map"] for number, record in run.records.items()
    }
    whole = search(tmp_path / "whole", 6, scheduler="none")
    assert rung_values(whole).to_dict() == whole.trials.set_index("trial")["val_map"].to_dict()


def test_few_trials_say_nothing(tmp_path: Path) -> None:
    assert importance(search(tmp_path / "few", MIN_TRIALS - 1)).empty
    assert not importance(search(tmp_path / "enough", MIN_TRIALS)).empty


@pytest.mark.parametrize("trials", [0, 1, 300])
def test_runs_of_any_size(tmp_path: Path, trials: int) -> None:
    table = importance(synthetic_run(tmp_path / "run", trials, running=min(trials, 2)))
    assert table.empty == (trials < MIN_TRIALS)
    assert table.groupby("architecture")["importance"].sum().to_numpy() == pytest.approx(1)
