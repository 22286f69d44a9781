"""First configurations are spread over the space; neighbours are close to their origin and within the space."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest

from thaw.search.engine.draws import Neighbour, first_configurations
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
    """The head twice, then the rest in turn; convnet has no pretrained weights, so none of it is frozen."""
    space = SearchSpace.parse(SPACE, {})
    found = first_configurations(space, 11, 30, 0)
    for values in found:
        space.validate(values)
    at = [(values["architecture"], values.get("freeze_depth")) for values in found]
    assert at == 2 * [("resnet18", 5)] + 3 * [("convnet", None), ("resnet18", 3), ("resnet18", 1)]
    for part in (found[:2], found[2:]):
        rates = sorted(math.log10(float(values["learning_rate"])) for values in part)
        assert rates == pytest.approx([-4 + (k + 0.5) * 2 / len(part) for k in range(len(part))]), "one in each part"
        assert abs([values["optimizer"] for values in part].count("sgd") - len(part) / 2) < 1
    assert first_configurations(space, 11, 30, 0) == found != first_configurations(space, 11, 30, 1)


@pytest.mark.parametrize(
    ("fewest", "most", "depths"),
    [(1, 30, [5, 5, None, 3, 1]), (9, 4, [5, 5, None, 3]), (9, 3, [5, None, 3]), (9, 1, [5])],
)
def test_heads_are_tried_twice_where_there_is_room(fewest: int, most: int, depths: list[int | None]) -> None:
    found = first_configurations(SearchSpace.parse(SPACE, {}), fewest, most, 0)
    assert [values.get("freeze_depth") for values in found] == depths


def test_heads_of_several_networks_take_turns() -> None:
    space = SearchSpace.parse({**SPACE, "architecture": ["resnet18", "mobilenet_v2"]}, {})
    found = first_configurations(space, 1, 30, 0)
    assert [values["architecture"] for values in found] == 4 * ["resnet18", "mobilenet_v2"]
    assert [values["freeze_depth"] for values in found] == [5, 5, 5, 5, 3, 3, 1, 1]
    for first in (0, 1):
        rates = sorted(math.log10(float(values["learning_rate"])) for values in found[first:4:2])
        assert rates == pytest.approx([-3.5, -2.5])


def test_a_space_without_networks_or_depths() -> None:
    space = SearchSpace.parse({"dropout": {"float": [0.0, 0.5]}}, {})
    shares = sorted(float(values["dropout"]) for values in first_configurations(space, 5, 30, 3))
    assert [round(share, 9) for share in shares] == [0.05, 0.15, 0.25, 0.35, 0.45]


def test_values_have_no_rounding_errors() -> None:
    """The middle of a range is what a person would write, and a neighbour beyond a bound is the bound."""
    space = SearchSpace.parse({"weight_decay": {"log": [1e-6, 1e-4]}, "dropout": {"float": [0.1, 0.3]}}, {})
    [middle] = first_configurations(space, 1, 30, 0)
    assert middle == {"weight_decay": 1e-5, "dropout": 0.2}
    low, high = 1.2345678901234567e-6, 9.876543210987654e-4
    edges = SearchSpace.parse({"weight_decay": {"log": [low, high]}}, {})
    for bound in (low, high):
        config, rng = edges.config({"weight_decay": bound}).model_dump(), random.Random(0)
        near = [edges.suggest(Neighbour(config, rng))["weight_decay"] for _ in range(100)]
        assert min(near) >= low and max(near) <= high
        assert near.count(bound) > 50, "unchanged, or moved beyond the bound"


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
