"""Calibration, thresholds and policies: against brute force, scikit-learn, and invariants."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, f1_score

from thaw.spaces import ConfigError
from thaw.trainables.evaluation.calibration import calibrated, fit_calibration, log_odds
from thaw.trainables.evaluation.label_sets import POLICIES, LabelRule, fit_label_rule
from thaw.trainables.evaluation.thresholds import SHRINKAGE, TARGETS, fit_thresholds, shared_threshold


def predictions(images: int, labels: int, seed: int = 0, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Informative logits, and true labels."""
    rng = np.random.default_rng(seed)
    targets = rng.random((images, labels)) < share
    return rng.normal(size=(images, labels)) * 1.5 + 2 * targets - 1.5, targets


def included(predicted: np.ndarray, targets: np.ndarray) -> float:
    return float(np.mean([p.any() and not (p & ~t).any() for p, t in zip(predicted, targets, strict=True)]))


def f1(predicted: np.ndarray, targets: np.ndarray, target: str) -> float:
    axis = 0 if target == "f1_macro" else None
    marked = predicted.sum(axis=axis) + targets.sum(axis=axis)
    return float(np.mean(2 * (predicted & targets).sum(axis=axis) / np.maximum(marked, 1)))


def every_threshold(probabilities: np.ndarray) -> itertools.product:
    """All combinations of thresholds that predict different sets."""
    return itertools.product(*([*np.unique(column), 1.0] for column in probabilities.T))


@pytest.mark.parametrize("target", ["f1_macro", "f1_micro"])
@pytest.mark.parametrize("seed", range(5))
def test_own_thresholds_are_the_best_of_all(target: str, seed: int) -> None:
    logits, targets = predictions(8, 3, seed)
    probabilities = log_odds_to_probabilities(logits)
    best = max(f1(probabilities >= np.array(t), targets, target) for t in every_threshold(probabilities))
    found = fit_thresholds(probabilities, targets, target, shrinkage=0)
    reached = f1_score(targets, probabilities >= found, average=target.removeprefix("f1_"), zero_division=0)
    assert reached == pytest.approx(best)


@pytest.mark.parametrize("seed", range(5))
def test_no_single_label_can_improve_the_inclusion_accuracy(seed: int) -> None:
    logits, targets = predictions(40, 4, seed)
    probabilities = log_odds_to_probabilities(logits)
    found = fit_thresholds(probabilities, targets, "inclusion_accuracy", shrinkage=0)
    value = included(probabilities >= found, targets)
    shared = shared_threshold(probabilities, targets, "inclusion_accuracy")
    assert value >= included(probabilities >= shared, targets)
    for label in range(4):
        for threshold in (*probabilities[:, label], 1.0):
            changed = found.copy()
            changed[label] = threshold
            assert included(probabilities >= changed, targets) <= value + 1e-12


def log_odds_to_probabilities(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


def test_a_precision_floor_is_kept_with_as_many_predictions_as_it_allows() -> None:
    logits, targets = predictions(300, 5)
    probabilities = log_odds_to_probabilities(logits)
    own = fit_thresholds(probabilities, targets, "precision", floor=0.8, shrinkage=0)
    for label in range(5):
        p, t = probabilities[:, label], targets[:, label]
        counts = {int((p >= c).sum()) for c in p if t[p >= c].mean() >= 0.8}
        assert (p >= own[label]).sum() == max(counts)
    shrunk = fit_thresholds(probabilities, targets, "precision", floor=0.8)
    assert (shrunk >= own - 1e-9).all(), "shrinking never lets a label below its floor"
    targets[:, 2] = False
    assert fit_thresholds(probabilities, targets, "precision", floor=0.8)[2] == 1.0


def test_rare_labels_lean_on_the_shared_threshold() -> None:
    logits, targets = predictions(400, 3)
    targets[:, 1] &= np.arange(400) < 10
    targets[:, 2] = False
    probabilities = log_odds_to_probabilities(logits)
    own = fit_thresholds(probabilities, targets, "f1_macro", shrinkage=0)
    mixed = fit_thresholds(probabilities, targets, "f1_macro")
    shared = shared_threshold(probabilities, targets, "f1_macro")
    odds = [np.log(x / (1 - x)) for x in (own, mixed, np.full(3, shared))]
    n = targets.sum(axis=0)
    np.testing.assert_allclose(odds[1], (n * odds[0] + SHRINKAGE * odds[2]) / (n + SHRINKAGE), atol=1e-4)
    assert mixed[2] == pytest.approx(shared)


def test_calibration_is_logistic_regression_where_nothing_pulls() -> None:
    logits, targets = predictions(500, 3)
    fitted = fit_calibration(logits * 3 + 1, targets, prior=0)
    for label in range(3):
        model = LogisticRegression(C=1e9, tol=1e-8).fit(logits[:, [label]] * 3 + 1, targets[:, label])
        np.testing.assert_allclose(fitted[label], [model.coef_[0, 0], model.intercept_[0]], rtol=1e-2, atol=1e-2)


def test_calibration_makes_probabilities_mean_what_they_say() -> None:
    """Logits twice too large and one too high, as of an overconfident network."""
    rng = np.random.default_rng(1)
    true = rng.normal(-2, 1.5, (20_000, 2))
    targets = rng.random(true.shape) < log_odds_to_probabilities(true)
    slope, intercept = fit_calibration(2 * true + 1, targets).T
    np.testing.assert_allclose(slope, 0.5, atol=0.03)
    np.testing.assert_allclose(intercept, -0.5, atol=0.1)


def test_labels_without_positives_keep_nearly_what_the_network_predicts() -> None:
    logits = np.full((50, 1), -6.0)
    slope, intercept = fit_calibration(logits, np.zeros((50, 1), bool))[0]
    assert slope == pytest.approx(1, abs=0.1) and intercept == pytest.approx(0, abs=0.05)


def test_softmax_probabilities_are_calibrated_like_any_other() -> None:
    logits = np.random.default_rng(0).normal(size=(30, 5)) * 40
    identity = np.tile([1.0, 0.0], (5, 1))
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(calibrated(log_odds(logits, "softmax"), identity), expected, atol=1e-12)
    assert np.isfinite(log_odds(logits * 1e4, "softmax")).all()


@settings(max_examples=40)
@given(seed=st.integers(0, 10**6), images=st.integers(1, 40), labels=st.integers(1, 6))
def test_calibration_keeps_the_order_of_the_images(seed: int, images: int, labels: int) -> None:
    logits, targets = predictions(images, labels, seed)
    after = LabelRule(fit_calibration(logits, targets), np.full(labels, 0.5)).probabilities(logits)
    for label in np.flatnonzero(targets.any(axis=0)):
        before = average_precision_score(targets[:, label], logits[:, label])
        assert average_precision_score(targets[:, label], after[:, label]) == pytest.approx(before)


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), labels=st.integers(1, 6), k=st.integers(1, 8), target=st.sampled_from(list(TARGETS)))
def test_policies_do_what_they_state(seed: int, labels: int, k: int, target: str) -> None:
    logits, targets = predictions(25, labels, seed)
    plain = fit_label_rule(logits, targets, target)
    probabilities = plain.probabilities(logits)
    assert ((plain.thresholds > 0) & (plain.thresholds <= 1)).all()
    passing = plain.label_sets(probabilities)
    np.testing.assert_array_equal(passing, probabilities >= plain.thresholds)
    never = replace(plain, policy="never_empty").label_sets(probabilities)
    assert never.any(axis=1).all()
    full = passing.any(axis=1)
    np.testing.assert_array_equal(never[full], passing[full])
    np.testing.assert_array_equal(never[~full].argmax(axis=1), probabilities[~full].argmax(axis=1))
    one = replace(plain, policy="exactly_one").label_sets(probabilities)
    assert (one.sum(axis=1) == 1).all()
    np.testing.assert_array_equal(one.argmax(axis=1), probabilities.argmax(axis=1))
    few = replace(plain, policy="at_most", k=k).label_sets(probabilities)
    np.testing.assert_array_equal(few.sum(axis=1), np.minimum(passing.sum(axis=1), k))
    assert not (few & ~passing).any()
    least_kept = np.where(few, probabilities, 2).min(axis=1)
    most_dropped = np.where(passing & ~few, probabilities, -1).max(axis=1)
    assert (least_kept >= most_dropped).all()


@pytest.mark.parametrize("policy", POLICIES)
def test_a_rule_survives_json_to_the_bit(policy: str) -> None:
    logits, targets = predictions(60, 4)
    rule = fit_label_rule(logits, targets, policy=policy, k=2 if policy == "at_most" else None, activation="softmax")  # type: ignore[arg-type]
    again = LabelRule.from_dict(json.loads(json.dumps(rule.to_dict())))
    assert again.to_dict() == rule.to_dict()
    np.testing.assert_array_equal(again.probabilities(logits), rule.probabilities(logits))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"thresholds": [0.5]}, "calibration must be"),
        ({"thresholds": [0.5, 0.0]}, "must lie in"),
        ({"calibration": [[0.0, 0.0], [1.0, 0.0]]}, "slopes must be > 0"),
        ({"policy": "never"}, "unknown policy 'never'; did you mean never_empty?"),
        ({"policy": "at_most"}, "at_most needs k >= 1"),
        ({"k": 3}, "at_most needs k >= 1"),
        ({"activation": "relu"}, "must be sigmoid or softmax"),
        ({"thresholds": "x"}, "not a label rule"),
    ],
)
def test_damaged_rules_are_refused(change: dict[str, object], message: str) -> None:
    good = LabelRule(np.tile([1.0, 0.0], (2, 1)), np.array([0.5, 0.5])).to_dict()
    with pytest.raises(ConfigError, match=message):
        LabelRule.from_dict({**good, **change})
    with pytest.raises(ConfigError, match="not a label rule"):
        LabelRule.from_dict({})


def test_wrong_requests_are_refused() -> None:
    logits, targets = predictions(20, 2)
    with pytest.raises(ConfigError, match="did you mean f1_macro?"):
        fit_label_rule(logits, targets, "f1macro")
    with pytest.raises(ConfigError, match="floor: must lie in"):
        fit_label_rule(logits, targets, "precision", floor=0.0)
    with pytest.raises(ConfigError, match="finite"):
        fit_label_rule(logits * np.nan, targets)
