"""Configurations to try first may come from a run or a file; the resolved search file holds them written out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from thaw.search.settings.config import SearchConfig, load_config
from thaw.spaces import ConfigError, TrialConfig

BEST = TrialConfig(freeze_depth=3, learning_rate=0.002, dropout=0.4).model_dump()


def search_file(folder: Path, start_with: Any, **training: Any) -> Path:
    content = {
        "name": "next",
        "data": {"builtin": "digits"},
        "space": {"freeze_depth": {"int": [0, 5]}, "learning_rate": {"log": [1e-4, 1e-2]}},
        "training": training,
        "search": {"start_with": start_with},
    }
    file = folder / "search.yaml"
    file.write_text(yaml.safe_dump(content))
    return file


def finished_run(folder: Path, value: float | None) -> Path:
    """A run of two trials; the second is BEST with `value`, or has not ended if that is None."""
    folder.mkdir()
    settings: dict[str, Any] = {"space": {}, "training": {}, "weights": "none", "search": {"metric": "val_map"}}
    settings["scheduler"] = {"type": "none", "grace_period": 1}
    (folder / "search.yaml").write_text(yaml.safe_dump(settings))
    events: list[dict[str, Any]] = [{"event": "session_started"}]
    for trial, config in enumerate((TrialConfig().model_dump(), BEST)):
        events.append({"event": "trial_started", "trial": trial, "config": config})
        if value is not None:
            row = {"metrics": {"val_map": value * trial}, "seconds": {}, "parameters": 1, "learning_rate": 0.1}
            events.append({"event": "epoch", "trial": trial, "epoch": 1, **row})
            events.append({"event": "trial_ended", "trial": trial, "status": "completed", "reason": ""})
    lines = [json.dumps({"v": 1, "time": 1.0, "session": 1, **event}) + "\n" for event in events]
    (folder / "events.jsonl").write_text("".join(lines))
    return folder


def entries(config: SearchConfig) -> list[dict[str, Any]]:
    return list(config.search.start_with)


def test_a_run_and_a_file(tmp_path: Path) -> None:
    finished_run(tmp_path / "before", 0.5)
    (tmp_path / "best.yaml").write_text("# trial 1 of before\n" + yaml.safe_dump(BEST))
    first = {"freeze_depth": 3, "learning_rate": 0.002}
    for written in ("before", ["before"], "best.yaml", [str(tmp_path / "best.yaml")]):
        assert entries(load_config(search_file(tmp_path, written, dropout=0.4))) == [first]
    mixed = load_config(search_file(tmp_path, [{"freeze_depth": 1}, "best.yaml"], dropout=0.4))
    assert entries(mixed) == [{"freeze_depth": 1}, first]
    # The run may be gone when this one is resumed.
    (tmp_path / "resolved.yaml").write_text(mixed.to_yaml())
    assert entries(load_config(tmp_path / "resolved.yaml")) == entries(mixed)


def test_paths_of_overrides_start_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "best.yaml").write_text("freeze_depth: 2\n")
    monkeypatch.chdir(tmp_path / "here")
    assert entries(load_config(search_file(tmp_path, []), ["search.start_with=best.yaml"])) == [{"freeze_depth": 2}]


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    finished_run(tmp_path / "before", 0.5)
    finished_run(tmp_path / "begun", None)
    (tmp_path / "list.yaml").write_text("- 1\n")
    for written, message in (
        ("before", "start_with.0.dropout: not a searched hyperparameter: it is fixed to 0.2, got 0.4; leave it out"),
        ("begun", "no trial of this run has finished"),
        ("absent", "must be a readable UTF-8 file"),
        (".", "not a run folder"),
        ("list.yaml", "must hold `key: value` lines"),
    ):
        with pytest.raises(ConfigError) as raised:
            load_config(search_file(tmp_path, written))
        assert message in str(raised.value) and "search.yaml: search.start_with.0" in str(raised.value)
