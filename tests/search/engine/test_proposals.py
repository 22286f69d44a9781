"""Each trial's line in the log says why it was proposed."""

from __future__ import annotations

from typing import Any

import pytest

from thaw.analysis.records import TrialRecord
from thaw.search.engine.proposers import build_proposer
from thaw.search.settings.config import SearchConfig

SPACE: dict[str, Any] = {"learning_rate": {"log": [1e-4, 1e-2]}, "dropout": {"float": [0.0, 0.5]}}


def reasons(count: int, space: dict[str, Any], **search: Any) -> list[str]:
    """The reasons of a search's first trials, each of which fails or reaches 0.5 before the next one starts."""
    content = {"name": "a", "data": {"builtin": "digits"}, "space": space, "search": {"trials": 20, **search}}
    proposer = build_proposer(SearchConfig.model_validate(content))
    given = []
    for number in range(count):
        draft = proposer.draft(number)
        given.append(draft["reason"])
        record = TrialRecord(number, draft["config"], status="completed", epochs={1: {"metrics": {"val_map": 0.5}}})
        proposer.apply({"event": "trial_started", "trial": number, **draft}, record)
        proposer.apply({"event": "epoch", "trial": number, "epoch": 1, "metrics": {"val_map": 0.5}}, record)
        proposer.apply({"event": "trial_ended", "trial": number}, record)
    return given


def test_algorithms() -> None:
    tpe = reasons(12, SPACE, algorithm="tpe")
    assert tpe[0] == "drawn at random: tpe needs 10 trials, 0 so far"
    assert tpe[9].endswith("9 so far") and tpe[11] == "tpe, from 11 trials"
    assert set(reasons(3, SPACE, algorithm="random")) == {"drawn at random"}


@pytest.mark.parametrize("algorithm", ["tpe", "grid", "random"])
def test_small_spaces(algorithm: str) -> None:
    small = reasons(2, {"batch_size": [16, 32]}, algorithm=algorithm)
    assert small == [f"the space has {left} left" for left in ("2 untried configurations", "1 untried configuration")]


def test_start_with() -> None:
    first = [{"learning_rate": 0.001, "dropout": 0.25}, {"dropout": 0.25}]
    given = reasons(3, SPACE, algorithm="random", start_with=first)
    assert given == ["entry 1 of start_with", "entry 2 of start_with, learning_rate drawn at random", "drawn at random"]
