"""Folds, and the statistics of the values on them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from thaw.search.confirmation.cross_validation import Leader, confirmation, corrected_interval
from thaw.spaces import METRICS, ConfigError
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.splits import Split, split_dataset, split_folds


def dataset(images: int = 200, groups: int = 40) -> Dataset:
    rng = np.random.default_rng(0)
    labels = rng.random((images, 4)) < [0.5, 0.2, 0.1, 0.03]
    columns = pd.DataFrame({"patient": [f"p{number % groups}" for number in range(images)]})
    names = ("a", "b", "c", "d")
    return Dataset(Path("."), tuple(map(str, range(images))), labels, names, names, columns)


def halves(images: int) -> Split:
    """Half of the images train, the others validate."""
    rows = np.arange(images)
    return Split(rows[: images // 2], rows[images // 2 :], rows[:0])


@pytest.mark.parametrize("group", [None, "patient"])
def test_every_row_validates_once_and_the_test_rows_never(group: str | None) -> None:
    data = dataset()
    split = split_dataset(data, np.ones(200, bool), group=group)
    pool = np.sort(np.concatenate([split.train, split.validation]))
    parts = split_folds(data, split, folds=5, group=group)
    np.testing.assert_array_equal(np.sort(np.concatenate([part.validation for part in parts])), pool)
    for part in parts:
        np.testing.assert_array_equal(np.sort(np.concatenate([part.train, part.validation])), pool)
        np.testing.assert_array_equal(part.test, split.test)
        assert len(part.validation) == pytest.approx(len(pool) / 5, rel=0.2)
        share = data.labels[part.validation].mean(axis=0)
        assert share == pytest.approx(data.labels[pool].mean(axis=0), abs=0.1 if group else 0.04)
        if group:
            patients = data.columns["patient"].to_numpy()
            assert not set(patients[part.validation]) & set(patients[np.concatenate([part.train, part.test])])


def test_the_users_groups_and_splits_are_not_mixed() -> None:
    data = dataset()
    data.columns["part"] = [
        "val" if number % 4 == 0 else "test" if number % 9 == 0 else "train" for number in range(200)
    ]
    split = split_dataset(data, np.ones(200, bool), column="part")
    parts = split_folds(data, split, folds=4, column="part")
    for part in parts:
        assert set(part.train) < set(split.train) and set(part.validation) < set(split.validation)
        assert len(part.train) == pytest.approx(len(split.train) * 3 / 4, abs=3)
    np.testing.assert_array_equal(np.sort(np.concatenate([part.validation for part in parts])), split.validation)
    # Groups take precedence: other images may move between parts.
    grouped = split_folds(data, split, folds=4, column="part", group="patient")
    assert not set(grouped[0].train) <= set(split.train)
    patients = data.columns["patient"].to_numpy()
    assert not set(patients[grouped[0].train]) & set(patients[grouped[0].validation])


def test_images_with_equal_pixels_stay_in_one_fold() -> None:
    data, alike = dataset(), np.arange(200) // 4
    for part in split_folds(data, halves(200), folds=5, alike=alike):
        assert not set(alike[part.train]) & set(alike[part.validation])
    for part in split_folds(data, halves(200), folds=5, alike=alike, group="patient"):
        assert not set(alike[part.train]) & set(alike[part.validation])


def test_seeds_give_different_and_repeatable_folds() -> None:
    data = dataset()
    first, again, other = (split_folds(data, halves(180), folds=4, seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first[0].validation, again[0].validation)
    assert not np.array_equal(first[0].validation, other[0].validation)


def test_too_many_folds_are_refused() -> None:
    data = dataset(groups=3)
    with pytest.raises(ConfigError, match="3 groups of patient are too few for 5 folds; use fewer folds"):
        split_folds(data, halves(200), folds=5, group="patient")
    with pytest.raises(ConfigError, match="4 images are too few for 6 folds"):
        split_folds(data, halves(4), folds=6)


def test_the_interval_by_hand() -> None:
    values = np.array([0.4, 0.5, 0.6, 0.5, 0.5])
    # Standard deviation 0.07071, t(4) = 2.776, sqrt(1/5 + 1/4) = 0.6708.
    low, high = corrected_interval(values, folds=5)
    assert (low, high) == pytest.approx((0.5 - 0.13169, 0.5 + 0.13169), abs=1e-4)
    assert corrected_interval(np.full(5, 0.3), folds=5) == pytest.approx((0.3, 0.3))


def test_the_interval_covers_where_values_share_their_training_images() -> None:
    """Five values whose correlation is 1/5, as the correction assumes: 95 % of the intervals hold the truth."""
    rng = np.random.default_rng(0)
    shared, own = rng.normal(size=(4000, 1)), rng.normal(size=(4000, 5))
    values = math.sqrt(0.2) * shared + math.sqrt(0.8) * own
    inside = [low <= 0 <= high for low, high in (corrected_interval(row, 5) for row in values)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.01)


LEADERS = [
    Leader(4, {"dropout": 0.1}, 3, 0.60, [0.50, 0.52, 0.54]),
    Leader(1, {"dropout": 0.2}, 5, 0.58, [0.53, 0.53, 0.56]),
    Leader(9, {"dropout": 0.3}, 2, 0.57, [0.30, 0.55, 0.35]),
]


def test_leaders_are_ranked_by_their_confirmed_means() -> None:
    outcome = confirmation(LEADERS, METRICS["map"], folds=3)
    assert [row["trial"] for row in outcome["leaders"]] == [1, 4, 9] and outcome["chosen"] == 1
    assert outcome["shrinkage"] == pytest.approx(0.60 - 0.52), "of the search's best, not of the chosen one"
    first, second = outcome["paired"]
    assert (first["a"], first["b"], first["wins"]) == (1, 4, 3) and first["difference"] == pytest.approx(0.02)
    assert (second["b"], second["wins"]) == (9, 2)
    row = outcome["leaders"][0]
    assert row["std"] == pytest.approx(np.std([0.53, 0.53, 0.56], ddof=1))
    assert row["interval"][0] < row["mean"] < row["interval"][1]


def test_for_a_loss_order_and_signs_are_reversed() -> None:
    outcome = confirmation(LEADERS, METRICS["loss"], folds=3)
    assert [row["trial"] for row in outcome["leaders"]] == [9, 4, 1]
    assert outcome["shrinkage"] == pytest.approx(0.52 - 0.60), "the search's value was higher, so worse, than confirmed"
    assert outcome["paired"][0]["wins"] == 2


def test_a_single_leader_needs_no_comparison() -> None:
    assert confirmation(LEADERS[:1], METRICS["map"], folds=3)["paired"] == []
