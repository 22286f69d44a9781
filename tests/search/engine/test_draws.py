"""First configurations and neighbours: within the space, spread over it, near what they are neighbours of."""

from __future__ import annotations

import math
import random
from typing import Any

from thaw.search.engine.draws import Neighbour, first_configurations, places
from thaw.spaces import SearchSpace

SPACE: dict[str, Any] = {
    "architecture": ["resnet18", "convnet"],
    "freeze_depth": {"int": [1, 5], "step": 2},
    "learning_rate": {"log": [1e-4, 1e-2]},
    "dropout": {"float": [0.0, 0.5], "step": 0.2},
    "optimizer": ["adamw", "sgd"],
    "momentum": {"float": [0.5, 0.8], "when": {"optimizer": "sgd"}},
    "batch_size": {"int": [8, 64], "log": True},
}


def test_first_configurations() -> None:
    space = SearchSpace.parse(SPACE, {})
    assert places(space) == 4, "convnet has no pretrained weights, so nothing can be frozen"
    found = first_configurations(space, 12, 0)
    for values in found:
        space.validate(values)
    at = [(values["architecture"], values.get("freeze_depth")) for values in found]
    assert at == 3 * [("resnet18", 5), ("convnet", None), ("resnet18", 3), ("resnet18", 1)]
    rates = sorted(math.log10(float(values["learning_rate"])) for values in found)
    assert all(-4 + k / 6 <= rate <= -4 + (k + 1) / 6 for k, rate in enumerate(rates)), "one in each twelfth"
    assert [values["optimizer"] for values in found].count("sgd") == 6
    assert first_configurations(space, 12, 0) == found != first_configurations(space, 12, 1)
    assert len(first_configurations(space, 2, 0)) == 2


def test_a_space_without_networks_or_depths() -> None:
    space = SearchSpace.parse({"dropout": {"float": [0.0, 0.5]}}, {})
    assert places(space) == 1
    shares = sorted(float(values["dropout"]) for values in first_configurations(space, 5, 3))
    assert [round(share, 9) for share in shares] == [0.05, 0.15, 0.25, 0.35, 0.45]


def test_neighbours() -> None:
    space = SearchSpace.parse(SPACE, {})
    # The default of momentum, which adamw has not, is outside of its range.
    known: dict[str, Any] = {"architecture": "resnet18", "freeze_depth": 3, "learning_rate": 1e-3, "dropout": 0.2}
    config = space.config({**known, "batch_size": 16}).model_dump()
    rng = random.Random(0)
    near = [space.suggest(Neighbour(config, rng)) for _ in range(300)]
    for values in near:
        space.validate(values)
    ratios = [abs(math.log10(float(values["learning_rate"]) / 1e-3)) for values in near]
    assert sorted(ratios)[150] < 0.3 and len({values["learning_rate"] for values in near}) > 150
    assert 0.8 < sum(values.get("freeze_depth", 3) == 3 for values in near) / 300 < 0.95
