"""A finite space with no more configurations than trials is searched once each, by every algorithm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.searches import search_file
from thaw.search.engine.proposals import StudyProposer
from thaw.search.settings.config import SearchConfig, load_config
from thaw.search.settings.finite import searched_once
from thaw.spaces import ConfigError

SPACE: dict[str, Any] = {
    "optimizer": ["adamw", "sgd"],
    "momentum": [0.8, 0.9],
    "dropout": {"float": [0.0, 0.4], "step": 0.2},
    "head_units": {"int": [4, 6], "log": True},
}
"""adamw has no momentum: (1 + 2) · 3 · 3 configurations."""
CELLS = 27


def _config(folder: Path, **sections: Any) -> SearchConfig:
    sections = {"space": SPACE, "training": {"head_units": None}, **sections}
    return load_config(search_file(folder, folder, folder, **sections))


def _proposed(config: SearchConfig, past: list[dict[str, Any]] | None = None) -> list[dict[str, Any]]:
    """The events ``trial_started`` of a whole search, those of the `past` first."""
    proposer, events = StudyProposer(config), list(past or [])
    for event in events:
        proposer.apply(event, None)
    for number in range(len(events), proposer.trials):
        events.append({"event": "trial_started", "trial": number, **proposer.draft(number)})
        proposer.apply(events[-1], None)
    return events


def _different(events: list[dict[str, Any]]) -> int:
    return len({str(sorted(event["config"].items())) for event in events})


@pytest.mark.parametrize("algorithm", ["tpe", "random", "gp", "grid"])
def test_each_configuration_once(algorithm: str, tmp_path: Path) -> None:
    space = {**SPACE, "head_units": [4, 5, 6]} if algorithm == "grid" else SPACE
    config, notes = searched_once(_config(tmp_path, space=space, search={"algorithm": algorithm, "trials": 40}))
    assert notes == [
        "note: the space holds 27 configurations, fewer than the 40 trials requested, so each is searched once"
    ]
    events = _proposed(config)
    assert len(events) == _different(events) == config.search.trials == CELLS


def test_as_many_trials_as_configurations_need_no_note(tmp_path: Path) -> None:
    config, notes = searched_once(_config(tmp_path, search={"algorithm": "tpe", "trials": CELLS}))
    assert not notes and _different(_proposed(config)) == CELLS


@pytest.mark.parametrize("space", [{**SPACE, "learning_rate": {"log": [1e-4, 1e-2]}}, {"batch_size": {"int": [2, 99]}}])
def test_larger_spaces_are_left_to_the_algorithm(space: dict[str, Any], tmp_path: Path) -> None:
    config = _config(tmp_path, space=space, search={"algorithm": "random", "trials": 40})
    assert searched_once(config) == (config, [])


def test_a_continuous_parameter_without_a_meaning_does_not_make_a_space_infinite(tmp_path: Path) -> None:
    space = {"dropout": [0.1, 0.2], "momentum": {"float": [0.5, 0.9]}}
    config, notes = searched_once(_config(tmp_path, space=space, search={"algorithm": "tpe"}))
    assert config.search.trials == 2 and len(notes) == 2 and "space.momentum" in notes[0]


def test_start_with_comes_first_and_is_not_repeated(tmp_path: Path) -> None:
    start = [{"momentum": 0.9, "dropout": 0.2}, {"optimizer": "adamw"}, {"momentum": 0.9, "dropout": 0.2}]
    search = {"algorithm": "tpe", "trials": 30, "start_with": start}
    events = _proposed(searched_once(_config(tmp_path, search=search))[0])
    configs = [event["config"] for event in events]
    assert [(config["optimizer"], config["momentum"], config["dropout"]) for config in configs[::2][:2]] == [
        ("sgd", 0.9, 0.2),
        ("sgd", 0.9, 0.2),
    ]
    assert configs[1]["optimizer"] == "adamw" and len(events) == _different(events) == CELLS


def test_a_run_continues_to_the_configurations_that_are_left(tmp_path: Path) -> None:
    first = _config(tmp_path, search={"algorithm": "random", "trials": 20})
    past = _proposed(first)
    assert len(past) == 20
    tried = _different(past)
    config, notes = searched_once(_config(tmp_path, search={"algorithm": "random", "trials": 90}), past)
    events = _proposed(config, past)
    assert notes and _different(events) == CELLS and len(events) == 20 + CELLS - tried
    assert searched_once(config, events)[0].search.trials == len(events), "nothing is left"


def test_nothing_searched_is_one_trial(tmp_path: Path) -> None:
    config, notes = searched_once(_config(tmp_path, space={}, search={"algorithm": "tpe"}))
    assert config.search.trials == 1 and "holds 1 configuration, fewer than the 32 trials" in notes[0]


@pytest.mark.parametrize(("name", "value"), [("dropout", 0.3), ("batch_size", 9)])
def test_start_with_keeps_to_the_steps(name: str, value: float, tmp_path: Path) -> None:
    space = {"dropout": SPACE["dropout"], "batch_size": {"int": [4, 16], "step": 4}}
    with pytest.raises(ConfigError, match=f"search.start_with.0.{name}: must be in the space"):
        _config(tmp_path, space=space, search={"algorithm": "tpe", "start_with": [{name: value}]})
