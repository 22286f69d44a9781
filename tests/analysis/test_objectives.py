"""Fronts of several objectives, by hand and against the definition."""

from __future__ import annotations

import math
import random
from typing import Any

from thaw.analysis.objectives import Point, fronts, losses, outcome, pareto_front
from thaw.analysis.records import TrialRecord


def record(number: int, status: str, *epochs: tuple[float, float]) -> TrialRecord:
    """Epochs of (val_map, seconds)."""
    rows: dict[int, Any] = {
        epoch: {"metrics": {"val_map": value}, "costs": {"seconds": seconds}}
        for epoch, (value, seconds) in enumerate(epochs, 1)
    }
    return TrialRecord(number, {}, status=status, epochs=rows)


def test_a_trial_counts_at_its_best_epoch() -> None:
    trial = record(0, "completed", (0.5, 3.0), (0.8, 2.5), (0.7, 2.0))
    objectives = ("val_map", "seconds")
    assert outcome(trial, objectives) == (0.8, 2.5) and outcome(trial, objectives, 3) == (0.7, 2.0)
    assert losses((0.8, 2.5), objectives) == (-0.8, 2.5) and losses((0.8, 2.5), ("val_loss", "seconds")) == (0.8, 2.5)
    assert outcome(trial, ("val_map", "macs")) == (0.8, math.inf), "a damaged run may lack them"


def dominates(a: Point, b: Point) -> bool:
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def test_fronts_follow_their_definition() -> None:
    rng = random.Random(0)
    for objectives in (1, 2, 3):
        points = [tuple(rng.randint(0, 5) / 5 for _ in range(objectives)) for _ in range(40)]
        left, expected, number = [*points], {}, 0
        while left:
            best = [point for point in left if not any(dominates(other, point) for other in left)]
            expected |= dict.fromkeys(best, number)
            left, number = [point for point in left if point not in best], number + 1
        assert fronts(points) == [expected[point] for point in points]


def test_the_front_of_a_run() -> None:
    records = [
        record(0, "completed", (0.8, 3.0)),
        record(1, "pruned", (0.5, 1.0)),
        record(2, "completed", (0.8, 3.0)),
        record(3, "early_stopped", (0.7, 3.5)),
        record(4, "failed", (0.99, 0.1)),
        record(5, "running", (0.98, 0.1)),
        record(6, "completed", (0.6, 0.9)),
        record(7, "pruned"),
    ]
    assert [r.number for r in pareto_front(records, ("val_map", "seconds"))] == [0, 6]
    assert [r.number for r in pareto_front(records, ("val_map",))] == [0], "one objective: the best"
    assert pareto_front([], ("val_map",)) == []
