"""Rules for several objectives: worked out by hand, and equal to the ordinary rules for a single one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from thaw.analysis.records import TrialRecord
from thaw.search.engine.front_rules import FRONT_RULES, places
from thaw.search.engine.rules import RULES, Rule
from thaw.spaces import metric


def rule(name: str, rules: Any = FRONT_RULES) -> Rule:
    return rules[name](metric("val_loss"), 9, 1, 3)  # type: ignore[no-any-return]


def judged(judge: Rule, points: list[Any]) -> list[str]:
    """The verdict on each trial at epoch 1, one after the other."""
    verdicts = []
    for number, point in enumerate(points):
        trial = TrialRecord(number, {})
        verdicts.append(judge.decide(trial, 1, point).verdict)
        judge.note(trial, 1, point, verdicts[-1])
    return verdicts


def test_places() -> None:
    # Two fronts; the middle of the first one has neighbours, its ends have none.
    assert places([(1.0, 3.0), (2.0, 2.0), (3.0, 1.0), (4.0, 4.0), (5.0, 5.0)]) == [1, 3, 1, 4, 5]
    assert places([(1.0, 9.0), (2.0, 8.0), (6.0, 2.0), (9.0, 1.0)]) == [1, 4, 3, 1]
    assert places([(1.0, 1.0), (1.0, 1.0)]) == [1, 1] and places([(2.0,)]) == [1]


@pytest.mark.parametrize("name", ["asha", "asha_promotion"])
def test_with_one_objective_they_equal_the_ordinary_rules(name: str) -> None:
    rng = random.Random(1)
    values = [rng.random() for _ in range(60)]
    one, several = rule(name, RULES), rule(name)
    assert judged(one, values) == judged(several, [(value,) for value in values])
    assert one.promotion(range(60)) == several.promotion(range(60))


def test_cheap_or_good_trials_continue() -> None:
    good, cheap, poor = (0.1, 9.0), (0.9, 1.0), (0.95, 9.5)
    assert judged(rule("asha"), [good, cheap, poor, poor]) == ["continue", "continue", "stop", "stop"]
    assert judged(rule("median"), [good, cheap, (0.5, 5.0), poor])[-1] == "stop"
    assert judged(rule("median"), [good, cheap, (0.5, 5.0), (0.4, 6.0)])[-1] == "continue"
    second = [good, cheap, (0.2, 9.5), (0.95, 2.0)]
    assert judged(rule("median"), [*second, (0.15, 9.7)])[-1] == "stop", "on the second front, like half of the others"
    assert judged(rule("percentile"), [*second, (0.15, 9.7)])[-1] == "continue"
    assert judged(rule("percentile"), [*second, (0.97, 9.9)])[-1] == "stop"
    waiting = rule("asha_promotion")
    assert judged(waiting, [good, cheap, poor]) == ["wait", "wait", "wait"]
    assert waiting.promotion([0, 1, 2]) == 0, "both ends of the front are as good; the first one goes on"
