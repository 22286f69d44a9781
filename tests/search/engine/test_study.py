"""The study of a search: each algorithm proposes within the space, and completes the user's configurations."""

from __future__ import annotations

from typing import Any

import pytest
from optuna.trial import TrialState

from thaw.search.engine.samplers import SAMPLERS
from thaw.search.engine.study import Study
from thaw.spaces import SearchSpace

SPACE = SearchSpace.parse({"learning_rate": {"log": [1e-4, 1e-2]}, "dropout": {"float": [0.0, 0.5]}}, {})
WANTED: list[dict[str, Any]] = [{"learning_rate": 0.001}, {"dropout": 0.25}]


def proposals(algorithm: str, seed: int) -> list[dict[str, Any]]:
    """Twelve, two of them running at a time; TPE and Gaussian processes draw the first ten at random."""
    study, given = Study(SPACE, "val_map", algorithm, seed), []
    for number in range(12):
        values, distributions = study.ask(number, WANTED[number] if number < len(WANTED) else None)
        assert set(distributions) == set(SPACE.parameters)
        SPACE.validate(values)
        given.append(values)
        if number:
            rate = float(given[number - 1]["learning_rate"])
            study.report(number - 1, 1, rate)
            study.tell(number - 1, "completed", [rate])
    return given


@pytest.mark.parametrize("algorithm", SAMPLERS)
def test_algorithms_complete_given_configurations(algorithm: str) -> None:
    given = proposals(algorithm, seed=0)
    assert given[0]["learning_rate"] == 0.001 and given[1]["dropout"] == 0.25
    for name in ("learning_rate", "dropout"):
        assert len({values[name] for values in given}) == 12
    assert proposals(algorithm, seed=0) == given != proposals(algorithm, seed=1)


def test_waiting_trials_inform_proposals_and_may_continue() -> None:
    study = Study(SPACE, "val_map", "tpe", 0)
    for number in range(10):
        study.ask(number)
        study.report(number, 1, number / 10)
        study.wait(number, [number / 10])
    assert study.known() == 10
    waiting = study.study.get_trials()[3]
    assert (waiting.state, waiting.value) == (TrialState.PRUNED, 0.3)
    # The third continues, and ends with a better value than at its rung.
    study.go_on(3)
    assert study.known() == 9
    study.report(3, 2, 0.9)
    study.tell(3, "completed", [0.9])
    assert study.known() == 10 and study.study.best_trial.number == 3
    study.tell(4, "pruned", None)
    assert study.frozen(4).value == 0.4
