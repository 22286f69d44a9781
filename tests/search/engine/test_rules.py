"""Rules that stop trials: worked out by hand, and replayable."""

from __future__ import annotations

import random

import pytest

from thaw.analysis.tables import TrialRecord
from thaw.search.engine.rules import RULES, Asha, Decision, Rule
from thaw.spaces import METRICS, metric


def reported(rule: Rule, number: int, epoch: int, value: float) -> Decision:
    """The rule's decision on an epoch, which it then notes."""
    trial = TrialRecord(number, config={})
    decision = rule.decide(trial, epoch, value)
    rule.note(trial, epoch, value, decision.verdict)
    return decision


def goes_on(rule: Rule, number: int, epoch: int, value: float) -> bool:
    return reported(rule, number, epoch, value).verdict == "continue"


def test_asha_rungs_lie_below_the_longest_trial() -> None:
    assert list(Asha(metric("val_map"), 20, 1, 3).rungs) == [1, 3, 9]
    assert list(Asha(metric("val_map"), 9, 1, 3).rungs) == [1, 3]
    assert list(Asha(metric("val_map"), 30, 2, 4).rungs) == [2, 8]


def test_asha_keeps_the_best_third_so_far() -> None:
    rule = Asha(metric("val_map"), 20, 1, 3)
    values = [0.5, 0.4, 0.6, 0.55, 0.3, 0.58, 0.57]
    # Ranks are 1 of 1, 2 of 2, 1 of 3, 2 of 4, 5 of 5, 2 of 6, 3 of 7; the best 1, 1, 1, 1, 1, 2, 2 are kept.
    expected = [False, True, False, True, True, False, True]
    assert [not goes_on(rule, i, 1, value) for i, value in enumerate(values)] == expected
    assert goes_on(rule, 0, 2, 0.0), "epoch 2 is no rung"


def test_asha_minimizes_losses() -> None:
    rule = Asha(metric("val_loss"), 20, 1, 2)
    assert [not goes_on(rule, i, 1, value) for i, value in enumerate([1.0, 2.0, 0.5])] == [False, True, False]


def test_asha_stops_about_two_thirds_of_shuffled_trials() -> None:
    survivors = []
    for seed in range(50):
        values = [i / 27 for i in range(27)]
        random.Random(seed).shuffle(values)
        rule = Asha(metric("val_map"), 20, 1, 3)
        survivors.append(sum(goes_on(rule, i, 1, value) for i, value in enumerate(values)))
    assert 7 <= sum(survivors) / 50 <= 12


def test_asha_says_why() -> None:
    rule = Asha(metric("val_map"), 20, 1, 3)
    reported(rule, 0, 1, 0.5)
    assert reported(rule, 1, 1, 0.4).reason == "rank 2 of 2 at the rung of epoch 1, the best 1 went on"


def test_median_rule_compares_the_best_with_running_averages() -> None:
    rule = RULES["median"](metric("val_map"), 20, 2, 3)
    for trial, values in enumerate([(0.2, 0.4), (0.4, 0.6), (0.6, 0.8)]):
        for epoch, value in enumerate(values, 1):
            assert goes_on(rule, trial, epoch, value)
    # Running averages at epoch 2 are 0.3, 0.5, 0.7: their median is 0.5.
    assert goes_on(rule, 3, 1, 0.1), "before the grace period"
    assert not goes_on(rule, 3, 2, 0.49)
    assert goes_on(rule, 4, 2, 0.5)


@pytest.mark.parametrize(
    ("column", "enough", "too_bad", "limit"), [("val_map", 0.43, 0.41, 0.42), ("val_loss", 0.57, 0.59, 0.58)]
)
def test_the_percentile_rule_stops_the_worst_30_percent(
    column: str, enough: float, too_bad: float, limit: float
) -> None:
    rule = RULES["percentile"](metric(column), 20, 1, 3)
    for number, value in enumerate([0.3, 0.4, 0.5, 0.6, 0.7]):
        rule.note(TrialRecord(number, config={}), 1, value, "continue")
    trial = TrialRecord(9, config={})
    assert rule.decide(trial, 1, enough).verdict == "continue"
    decision = rule.decide(trial, 1, too_bad)
    assert decision.verdict == "stop"
    assert decision.reason == f"best value {too_bad} is worse than {limit}, the 30th percentile of 5 at epoch 1"


def test_the_median_rule_stops_no_thawed_network_before_three_others_of_its_kind() -> None:
    rule = RULES["median"](metric("val_map"), 20, 1, 3)

    def stopped(number: int, depth: int, value: float) -> bool:
        trial = TrialRecord(number, config={"freeze_depth": depth})
        decision = rule.decide(trial, 1, value)
        rule.note(trial, 1, value, decision.verdict)
        return decision.verdict == "stop"

    assert [stopped(number, 5, 0.8) for number in range(4)] == [False] * 4
    assert [stopped(4 + depth, depth, 0.3) for depth in (4, 3, 0)] == [False] * 3
    assert stopped(20, 4, 0.3) and stopped(21, 5, 0.3) and not stopped(22, 2, 0.9)


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("column", ["val_map", "val_loss"])
def test_contract_of_every_rule(name: str, column: str) -> None:
    """Replaying a log rebuilds the rule; deciding changes nothing; better values never fare worse."""
    assert column.removeprefix("val_") in METRICS
    rng = random.Random(1)
    log = [(trial, epoch, rng.random()) for epoch in range(1, 10) for trial in range(12)]
    first, replayed = (RULES[name](metric(column), 10, 1, 3) for _ in range(2))
    decisions = [reported(first, *row) for row in log]
    assert any(decision.verdict != "continue" for decision in decisions) == (name != "none")
    for row, decision in zip(log, decisions, strict=True):
        number, epoch, value = row
        trial = TrialRecord(number, config={})
        assert replayed.decide(trial, epoch, value) == decision
        assert replayed.decide(trial, epoch, value) == decision, "deciding changes nothing"
        replayed.note(trial, epoch, value, decision.verdict)
    best, worst = (1e9, -1e9) if metric(column).maximize else (-1e9, 1e9)
    for epoch in (1, 3, 9):
        assert reported(first, 200, epoch, worst) == reported(replayed, 200, epoch, worst)
        assert goes_on(first, 100, epoch, best)
