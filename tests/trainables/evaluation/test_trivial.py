"""The trivial predictors' scores, worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from thaw.spaces.metrics import measured
from thaw.trainables.evaluation.trivial import EPSILON, TRIVIAL, trivial_metrics

TRAIN = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 1, 0]], dtype=bool)  # frequencies 3/4, 1/2, 0
VALIDATION = np.array([[1, 0, 0], [1, 1, 0]], dtype=bool)


def test_every_predictor_has_every_metric() -> None:
    table = trivial_metrics(TRAIN, VALIDATION)
    assert list(table) == list(TRIVIAL) == ["nothing", "most_frequent_label", "label_frequencies"]
    assert all(set(row) == set(measured(False, 3)) for row in table.values())
    assert all(math.isfinite(value) for row in table.values() for value in row.values())


def test_accuracies_of_one_label_per_image() -> None:
    labels = np.eye(12, dtype=bool)[np.array([0, 0, 0, 0, 1, 2])]
    table = trivial_metrics(labels, labels, single_label=True)
    assert all(set(row) == set(measured(True, 12)) for row in table.values())
    most = table["most_frequent_label"]
    assert most["accuracy"] == pytest.approx(4 / 6) and most["balanced_accuracy"] == pytest.approx(1 / 3)
    assert table["nothing"]["accuracy"] == pytest.approx(1 / 12), "a draw among all"
    assert table["nothing"]["top5_accuracy"] == pytest.approx(5 / 12)
    assert table["label_frequencies"]["top5_accuracy"] == 1


def test_nothing() -> None:
    row = trivial_metrics(TRAIN, VALIDATION)["nothing"]
    assert row["hamming_accuracy"] == pytest.approx(3 / 6)
    assert row["loss"] == pytest.approx(-3 / 6 * math.log(EPSILON), rel=1e-6)
    assert row["map"] == pytest.approx((1 + 1 / 2) / 2)
    assert row["exact_match"] == row["f1_micro"] == row["inclusion_accuracy"] == 0.0
    assert row["top1_accuracy"] == pytest.approx(
        (1 / 3 + 2 / 3) / 2
    )  # no label is preferred: the chance of a blind draw


def test_most_frequent_label() -> None:
    row = trivial_metrics(TRAIN, VALIDATION)["most_frequent_label"]
    assert row["top1_accuracy"] == row["inclusion_accuracy"] == 1.0  # both images have label 0
    assert row["exact_match"] == pytest.approx(1 / 2)
    assert row["hamming_accuracy"] == pytest.approx(5 / 6)
    assert row["loss"] == pytest.approx(-1 / 6 * math.log(EPSILON), rel=1e-6)


def test_label_frequencies() -> None:
    row = trivial_metrics(TRAIN, VALIDATION)["label_frequencies"]
    # Label 0 at 3/4, present in both images; label 1 at 1/2, in one of them; label 2 at (almost) 0, in none.
    assert row["loss"] == pytest.approx((2 * math.log(4 / 3) + 2 * math.log(2)) / 6, rel=1e-6)
    assert row["exact_match"] == pytest.approx(1 / 2)  # {0, 1} for both
    assert trivial_metrics(TRAIN, VALIDATION, threshold=0.6)["label_frequencies"]["inclusion_accuracy"] == 1.0


def test_nothing_looks_good_by_hamming_accuracy() -> None:
    """The paper's images have about 1.3 of 20 labels: there, predicting nothing is right for 93.5 % of the pairs."""
    labels = np.zeros((100, 20), dtype=bool)
    labels[np.arange(100), np.arange(100) % 20] = True
    labels[np.arange(30), (np.arange(30) + 1) % 20] = True
    assert trivial_metrics(labels, labels)["nothing"]["hamming_accuracy"] == pytest.approx(0.935)
