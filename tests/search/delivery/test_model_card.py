"""Policies in figures, and the card that shows them."""

from __future__ import annotations

import re
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from thaw.search.delivery.model_card import model_card
from thaw.search.delivery.scoring import Score
from thaw.spaces import TrialConfig, measured
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
    assert {policy for policy, _ in found} == {
        "0.5",
        "threshold",
        "never_empty",
        "at_most 1",
        "at_most 2",
        "exactly_one",
    }
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
def facts() -> dict[str, Any]:
    """The content of a ``bundle.json``."""
    calibrated = RULE.probabilities(LOGITS)
    score = Score(
        images=4,
        metrics=bootstrap(calibrated, RULE.label_sets(calibrated), TARGETS),
        as_searched={},
        trivial=trivial_metrics(TARGETS, TARGETS),
        average_precision=[None, 0.5, 1.0],
        policies=policy_figures(RULE, LOGITS, TARGETS),
    )
    counts = {"train": [40, 12, 50], "validation": [9, 8, 7], "test": [2, 2, 2]}
    images = {"train": 60, "validation": 20, "test": 4}
    return {
        "run": "photos",
        "created": "2019-05-31T12:00:00Z",
        "trial": {"number": 7, "epoch": 4, "config": TrialConfig(freeze_depth=5).model_dump(), "refit": False},
        "search": {"trials": 30, "metric": "val_map"},
        "weights": "imagenet",
        "classes": ["cat", "a|b", "dog"],
        "model": {"image_size": 128, "resize": "crop"},
        "rule": RULE.to_dict(),
        "rule_fit": {"target": "f1_macro", "images": 20, "optimistic": True},
        "validation": {"images": 20, "metrics": {"val_map": 0.51}},
        "confirmation": None,
        "test": {**score.to_dict(), "times_scored": 1},
        "onnx": None,
        "provenance": {
            "data": {"images": images, "labels": {"counts": counts}, "fingerprint": "abc"},
            "packages": {"torch": "2.9"},
        },
    }


def test_the_card_has_all_necessary_facts(facts: dict[str, Any]) -> None:
    card = model_card(facts)
    assert card.startswith("# photos, trial 7\n") and "Created on 2019-05-31 by Thaw" in card
    assert "only the head was trained" in card and "4 epochs" in card
    for name in facts["test"]["metrics"]:
        assert f"| {name} " in card
    assert "most frequent label" in card, "the trivial predictors stand beside"
    assert "**optimistic**" in card and "Expect less" in card and "best of 30" in card
    assert "never_empty" in card and "images with several labels" in card
    assert "| a\\|b | 12 | 8 | 2 | 0.500 |" in card, "a bar in a label's name stays within its cell"
    assert "fewer than 30 training images, so unreliable: a\\|b." in card
    onnx = {"onnx": {"images": 4, "largest_difference": 1e-7}}
    assert "model.onnx" not in card and "model.onnx" in model_card(facts | onnx)
    assert "nan" not in card.lower() and "none" not in card.replace("none predicted", "").lower()


def test_it_says_where_a_plain_half_is_better(facts: dict[str, Any]) -> None:
    for row in facts["test"]["policies"]:
        for metric in row["metrics"].values():
            metric["value"] = 0.5
    assert "A plain 0.5 is better" not in model_card(facts)
    for row in facts["test"]["policies"]:
        if row["policy"] == "threshold" and row["group"] == "all":
            row["metrics"]["f1_macro"]["value"], row["metrics"]["exact_match"]["value"] = 0.4, 0.6
    card = model_card(facts)
    assert card.count("A plain 0.5 is better") == 1
    assert "**A plain 0.5 is better than `threshold`** by f1_macro (0.500 against 0.400)" in card


def test_tables_are_tables(facts: dict[str, Any]) -> None:
    tables = [block.splitlines() for block in model_card(facts).split("\n\n") if block.startswith("|")]
    assert [len(table) for table in tables] == [2 + len(facts["test"]["metrics"]), 2 + 6 * 3, 2 + 3]
    for table in tables:
        cells = {len(line.replace("\\|", "").split("|")) for line in table}
        assert len(cells) == 1 and set(table[1]) == set("| -"), table


LABELS = {
    "two\nlines": "two lines",
    "<b>bold</b>": r"\<b>bold\</b>",
    "AT&amp;T": r"AT\&amp;T",
    "`tick` *x*": r"\`tick\` \*x\*",
    "![x](https://example.org/x.png)": r"!\[x\](https://example.org/x.png)",
    "_a_ polar_bear": r"\_a\_ polar_bear",
    "back\\": "back\\\\",
    "{{ 7 * 7 }}": r"{{ 7 \* 7 }}",
    '🐻, "quoted"': '🐻, "quoted"',
}
"""Label → the same in a card."""


@pytest.mark.parametrize(("label", "shown"), LABELS.items())
def test_labels_are_shown_as_they_are(facts: dict[str, Any], label: str, shown: str) -> None:
    card = model_card(facts | {"classes": ["cat", label, "dog"]})
    assert f"\n| {shown} | 12 | 8 | 2 | 0.500 |\n" in card
    assert f"so unreliable: {shown}.\n" in card


def test_its_example_runs(facts: dict[str, Any]) -> None:
    [example] = re.findall(r"```python\n(.+?)```", model_card(facts), re.DOTALL)
    line, _ = example.split("\n", 1)
    names: dict[str, Any] = {}
    exec(line, names)
    assert line == "from thaw import load_bundle" and callable(names["load_bundle"])


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


def test_a_confirmed_model_says_how_optimistic_the_search_was(facts: dict[str, Any]) -> None:
    facts["rule_fit"]["optimistic"] = False
    card = model_card(facts | {"confirmation": CONFIRMATION})
    assert (
        "+0.040" in card
        and "Selecting the best added +0.010" in card
        and "| 7 | 0.510 | 0.470 | 0.440 – 0.500 | 0.450 (0.410 – 0.480) |" in card
    )
    assert "| 3 | 0.490 | 0.460 | 0.430 – 0.490 | – |" in card
    assert "optimistic" not in card and "Expect less" not in card
    assert "made for images outside its training folds" in card


def test_without_test_images_nothing_is_claimed(facts: dict[str, Any]) -> None:
    facts["provenance"]["data"]["images"]["test"] = 0
    card = model_card(facts | {"test": None})
    assert "no test split, so nothing here is an unbiased estimate" in card
    assert "inclusion accuracy" not in card and "| label | train | validation | threshold |" in card


def test_one_label_per_image_is_reported_as_accuracy(facts: dict[str, Any]) -> None:
    assert "**Accuracy" not in model_card(facts) and "does not use the thresholds" not in model_card(facts)
    own = np.eye(3, dtype=bool)[[0, 0, 1, 2]]
    rule = replace(RULE, policy="exactly_one")
    calibrated, names = rule.probabilities(LOGITS), measured(True, 3)
    found = bootstrap(calibrated, rule.label_sets(calibrated), own, names=names)
    facts["test"]["metrics"] = {name: asdict(estimate) for name, estimate in found.items()}
    facts["test"]["trivial"] = trivial_metrics(own, own, single_label=True)
    card = model_card(facts | {"rule": rule.to_dict()})
    assert "**Accuracy 50.0%**" in card and "is 50.0% (balanced accuracy)" in card and "label gives 50.0%." in card
    assert "| accuracy ↑ | 0.500" in card and "**exactly_one**" in card and "does not use the thresholds" in card


def test_a_model_that_was_not_searched_for(facts: dict[str, Any]) -> None:
    facts["trial"]["number"] = None
    card = model_card(facts)
    assert card.startswith("# photos\n") and "without a search" in card and "The configuration was given" in card
