"""Policies in figures, and the card that shows them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from thaw.search.delivery.model_card import ModelFacts, model_card
from thaw.spaces import METRICS, TrialConfig
from thaw.trainables.evaluation.bootstrap import bootstrap
from thaw.trainables.evaluation.label_sets import LabelRule
from thaw.trainables.evaluation.policies import METRIC_NAMES, policy_figures
from thaw.trainables.evaluation.trivial import trivial_metrics

RULE = LabelRule(np.tile([1.0, 0.0], (3, 1)), np.array([0.5, 0.5, 0.25]), "never_empty")
LOGITS = np.array([[2.0, 1.0, -3.0], [-2.0, -1.0, -3.0], [3.0, -0.5, -1.0], [-1.0, 2.0, 3.0]])
TARGETS = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]], bool)


def test_policies_on_four_images_by_hand() -> None:
    # At 0.5: {0, 1}, {}, {0}, {1, 2}. With the third label's threshold of 0.25: the third image gains label 2.
    found = {(f.policy, f.group): f for f in policy_figures(RULE, LOGITS, TARGETS)}
    assert {policy for policy, _ in found} == {"0.5", "threshold", "never_empty", "at_most 1", "at_most 2"}
    one = found["0.5", "one"]
    assert (one.images, one.true_labels, one.given_labels, one.none, one.more) == (2, 1.0, 1.0, 0.5, 0.5)
    assert [one.metrics[name].value for name in METRIC_NAMES[:3]] == [0, 0, pytest.approx(2 / 4)]
    several = found["threshold", "several"]
    assert (several.images, several.true_labels, several.given_labels, several.more) == (2, 2.0, 2.0, 0.0)
    assert several.metrics["exact_match"].value == 1
    never = found["never_empty", "one"]
    assert never.none == 0 and never.metrics["exact_match"].value == 0.5
    short = found["at_most 1", "all"]
    assert (short.images, short.given_labels, short.none, short.more) == (4, 0.75, 0.25, 0.0)
    assert short.metrics["inclusion_accuracy"].value == 0.75 and short.metrics["exact_match"].value == 0.25


def test_groups_without_images_are_left_out() -> None:
    assert {f.group for f in policy_figures(RULE, LOGITS[:2], TARGETS[:2])} == {"all", "one"}


@pytest.fixture
def facts() -> ModelFacts:
    probabilities = RULE.probabilities(LOGITS)
    return ModelFacts(
        run="photos",
        created="2019-05-31",
        trial=7,
        epoch=4,
        trials=30,
        config=TrialConfig(freeze_depth=5).model_dump(),
        weights="imagenet",
        classes=("cat", "a|b", "dog"),
        image_size=128,
        resize="crop",
        images={"train": 60, "validation": 20, "test": 4},
        label_counts={"train": [40, 12, 50], "validation": [9, 8, 7], "test": [2, 2, 2]},
        refit=False,
        fingerprint="abc",
        versions={"torch": "2.9"},
        metric="val_map",
        search_value=0.51,
        confirmation=None,
        rule=RULE,
        rule_target="f1_macro",
        rule_origin="validation",
        rule_images=20,
        test=bootstrap(probabilities, RULE.label_sets(probabilities), TARGETS),
        trivial=trivial_metrics(TARGETS, TARGETS),
        policies=policy_figures(RULE, LOGITS, TARGETS),
        onnx=False,
    )


def test_the_card_says_what_a_reader_must_know(facts: ModelFacts) -> None:
    card = model_card(facts)
    assert "only the head was trained" in card and "4 epochs" in card
    for name in METRICS:
        assert f"| {name} " in card
    assert "most frequent label" in card, "the trivial predictors stand beside"
    assert "**optimistic**" in card and "Expect less" in card and "best of 30" in card
    assert "never_empty" in card and "images with several labels" in card
    assert "a\\|b" in card, "a bar in a label's name stays within its cell"
    assert "fewer than 30 training images, so hardly known: a|b." in card
    assert "model.onnx" not in card and "model.onnx" in model_card(replace(facts, onnx=True))
    rows = [line for line in card.splitlines() if line.startswith("|")]
    assert all("nan" not in row for row in rows)


CONFIRMATION: dict[str, Any] = {
    "metric": "val_map",
    "folds": 5,
    "seeds": 2,
    "images": 80,
    "leaders": [
        {"trial": 7, "search_value": 0.51, "mean": 0.47, "interval": [0.44, 0.5]}
        | {"pooled": {"value": 0.45, "low": 0.41, "high": 0.48}},
        {"trial": 3, "search_value": 0.49, "mean": 0.46, "interval": [0.43, 0.49], "pooled": None},
    ],
    "chosen": 7,
    "shrinkage": 0.04,
}


def test_a_confirmed_model_says_how_much_the_search_flattered_it(facts: ModelFacts) -> None:
    card = model_card(replace(facts, confirmation=CONFIRMATION, rule_origin="out_of_fold"))
    assert "+0.040" in card and "| 7 | 0.510 | 0.470 | 0.440 – 0.500 | 0.450 (0.410 – 0.480) |" in card
    assert "| 3 | 0.490 | 0.460 | 0.430 – 0.490 | – |" in card
    assert "optimistic" not in card and "Expect less" not in card


def test_without_test_images_nothing_is_claimed(facts: ModelFacts) -> None:
    card = model_card(replace(facts, test=None, policies=[], images={**facts.images, "test": 0}))
    assert "no test split, so nothing here is an honest estimate" in card
    assert "inclusion accuracy" not in card
