"""The table of metrics, and the meaning of "best"."""

from __future__ import annotations

import math

import pytest

from thaw.spaces import METRICS, ConfigError, best_epoch, measured, metric


def test_columns_lead_to_their_metric() -> None:
    assert metric("val_map") is METRICS["map"] and metric("train_loss") is METRICS["loss"]
    with pytest.raises(ConfigError, match="unknown metric 'val_mpa'; did you mean val_map"):
        metric("val_mpa")


def test_accuracies_are_measured_for_single_labels_alone() -> None:
    plain = measured(False, 1000)
    assert "map" in plain and not any("balanced" in name or name in ("accuracy", "top5_accuracy") for name in plain)
    assert measured(True, 9) == (*plain, "accuracy", "balanced_accuracy")
    assert measured(True, 10) == tuple(METRICS)


def test_best_epoch_follows_the_direction_and_prefers_the_earlier() -> None:
    assert best_epoch({1: 0.2, 2: 0.5, 3: 0.5}, "val_map") == 2
    assert best_epoch({1: 0.2, 2: 0.1, 3: 0.4}, "val_loss") == 2
    assert best_epoch({1: math.nan, 2: 0.1}, "val_map") == 2
    assert best_epoch({4: math.nan}, "val_map") == 4


@pytest.mark.parametrize("name", METRICS)
def test_rows_are_complete(name: str) -> None:
    row = METRICS[name]
    assert row.low < row.high and row.meaning and row.direction in ("maximize", "minimize")
    worse, better = (0.1, 0.2) if row.maximize else (0.2, 0.1)
    assert row.better(better, worse) and not row.better(worse, better) and not row.better(worse, worse)
    assert row.better(worse, math.nan) and not row.better(math.nan, worse)
