"""Each metric against scikit-learn or against figures worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    f1_score,
    hamming_loss,
    top_k_accuracy_score,
)

from thaw.spaces.metrics import METRICS, measured
from thaw.trainables.evaluation.metrics import average_precision, epoch_metrics


def data(images: int, labels: int, distinct: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Random probabilities with many ties (`distinct` values), and labels of which each has a positive."""
    generator = np.random.default_rng(seed)
    probabilities = generator.integers(0, distinct, (images, labels)) / max(distinct - 1, 1)
    targets = generator.random((images, labels)) < 0.3
    targets[generator.integers(images, size=labels), np.arange(labels)] = True
    return torch.from_numpy(probabilities).float(), torch.from_numpy(targets)


def test_the_names_are_those_of_the_table() -> None:
    assert {"loss", *epoch_metrics(*data(5, 3, 9))} == set(measured(False, 3))
    assert {"loss", *epoch_metrics(*data(5, 3, 9), single_label=True)} == set(measured(True, 3))
    assert {"loss", *epoch_metrics(*data(9, 10, 9), single_label=True)} == set(METRICS)


@pytest.mark.parametrize("seed", range(3))
def test_accuracies_against_scikit_learn(seed: int) -> None:
    generator = np.random.default_rng(seed)
    probabilities, own = generator.random((80, 12)), generator.integers(0, 11, 80)  # the last label has no image
    values = epoch_metrics(torch.from_numpy(probabilities), torch.eye(12)[own], single_label=True)
    assert values["accuracy"] == pytest.approx(accuracy_score(own, probabilities.argmax(axis=1)))
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = balanced_accuracy_score(own, probabilities.argmax(axis=1))
    assert values["balanced_accuracy"] == pytest.approx(expected)
    assert values["top5_accuracy"] == pytest.approx(top_k_accuracy_score(own, probabilities, k=5, labels=range(12)))


def test_an_image_with_no_label_or_several_has_no_class_to_be_right_about() -> None:
    targets = torch.tensor([[1, 1, 0], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
    probabilities = torch.tensor([[0.9, 0.8, 0.1], [0.9, 0.0, 0.0], [0.9, 0.1, 0.1], [0.6, 0.3, 0.1]])
    values = epoch_metrics(probabilities, targets, single_label=True)
    assert values["accuracy"] == 1 / 4
    assert values["balanced_accuracy"] == pytest.approx((1 / 2 + 0) / 2)


@pytest.mark.parametrize(
    ("images", "labels", "distinct"), [(200, 6, 1001), (60, 20, 5), (40, 3, 1), (1, 4, 7), (9, 1, 4)]
)
@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.75])
def test_against_scikit_learn(images: int, labels: int, distinct: int, threshold: float) -> None:
    probabilities, targets = data(images, labels, distinct)
    p, t = probabilities.numpy(), targets.numpy()
    # scikit-learn takes a single column for one binary problem, so labels are given to it one by one.
    label_ap = [average_precision_score(t[:, label], p[:, label]) for label in range(labels)]
    label_f1 = [f1_score(t[:, label], p[:, label] >= threshold, zero_division=0) for label in range(labels)]
    expected = {
        "map": np.mean(label_ap),
        "f1_micro": f1_score(t.ravel(), p.ravel() >= threshold, zero_division=0),
        "f1_macro": np.mean(label_f1),
        "exact_match": accuracy_score(t, p >= threshold)
        if labels > 1
        else accuracy_score(t[:, 0], p[:, 0] >= threshold),
        "hamming_accuracy": 1 - hamming_loss(t.ravel(), p.ravel() >= threshold),
    }
    measured = epoch_metrics(probabilities, targets, threshold)
    for name, value in expected.items():
        assert measured[name] == pytest.approx(value, abs=1e-6), name
    np.testing.assert_allclose(average_precision(probabilities, targets), label_ap, rtol=1e-6)
    assert measured == epoch_metrics(probabilities, targets.float(), threshold)


def test_four_images_by_hand() -> None:
    probabilities = torch.tensor([[0.9, 0.2, 0.1], [0.6, 0.5, 0.3], [0.4, 0.3, 0.2], [0.1, 0.8, 0.7]])
    targets = torch.tensor([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 1]]).bool()
    # Predicted at 0.5: {0}, {0, 1}, {}, {1, 2}.
    measured = epoch_metrics(probabilities, targets)
    # Label 0 is ranked T T T F: 1. Label 1 T F T F: (1 + 2/3) / 2 = 5/6. Label 2 T F F F: 1.
    assert measured["map"] == pytest.approx((1 + 5 / 6 + 1) / 3)
    # TP, FP, FN: label 0 has 2, 0, 1; label 1 has 1, 1, 1; label 2 has 1, 0, 0.
    assert measured["f1_micro"] == pytest.approx(8 / (8 + 1 + 2))
    assert measured["f1_macro"] == pytest.approx((4 / 5 + 2 / 4 + 1) / 3)
    assert measured["exact_match"] == pytest.approx(2 / 4)  # the first and the last
    assert measured["hamming_accuracy"] == pytest.approx(9 / 12)
    assert measured["inclusion_accuracy"] == pytest.approx(2 / 4)  # {0, 1} is too much, {} does not count
    assert measured["top1_accuracy"] == pytest.approx(4 / 4)


def test_inclusion_forgives_missing_labels_and_exact_match_does_not() -> None:
    measured = epoch_metrics(torch.tensor([[0.9, 0.1]]), torch.ones(1, 2))
    assert (measured["inclusion_accuracy"], measured["exact_match"]) == (1.0, 0.0)


def test_a_probability_at_the_threshold_is_predicted() -> None:
    for threshold in (0.1, 0.3, 0.5, 0.7):  # none but 0.5 is a number in float32
        at = torch.tensor([[threshold, 0.0]])
        assert epoch_metrics(at, torch.tensor([[True, False]]), threshold)["exact_match"] == 1.0
        assert epoch_metrics(at.nextafter(torch.zeros(1)), torch.tensor([[True, False]]), threshold)["f1_micro"] == 0.0


def test_labels_without_a_positive_are_left_out_of_the_mean() -> None:
    probabilities, targets = data(30, 4, 50)
    targets[:, 2] = False
    label_ap = average_precision(probabilities, targets)
    assert label_ap.isnan().tolist() == [False, False, True, False]
    assert epoch_metrics(probabilities, targets)["map"] == pytest.approx(label_ap[[0, 1, 3]].mean().item())


def test_no_label_at_all() -> None:
    targets = torch.zeros(3, 2)
    silent = epoch_metrics(torch.full((3, 2), 0.1), targets)
    assert math.isnan(silent.pop("map"))
    assert silent == {
        "f1_micro": 0.0,
        "f1_macro": 0.0,
        "exact_match": 1.0,  # saying nothing is exactly right
        "hamming_accuracy": 1.0,
        "inclusion_accuracy": 0.0,  # but an empty prediction never counts as correct
        "top1_accuracy": 0.0,
    }
    assert average_precision(torch.rand(3, 2), targets).isnan().all()


def test_ties_do_not_matter() -> None:
    """With all probabilities equal each label's average precision is its frequency, and top-1 is a draw among all."""
    targets = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 1]]).bool()
    same = torch.full((4, 4), 0.25)
    assert average_precision(same, targets).tolist() == pytest.approx([3 / 4, 1 / 4, 1 / 4, 2 / 4])
    assert epoch_metrics(same, targets)["top1_accuracy"] == pytest.approx((1 + 2 + 3 + 1) / 16)


def test_neither_the_order_of_images_nor_that_of_labels_matters() -> None:
    probabilities, targets = data(50, 6, 4)
    images, labels = torch.randperm(50), torch.randperm(6)
    shuffled = epoch_metrics(probabilities[images][:, labels], targets[images][:, labels])
    assert shuffled == pytest.approx(epoch_metrics(probabilities, targets), abs=1e-6)


def test_values_lie_within_the_ranges_of_the_table() -> None:
    for seed in range(5):
        for name, value in epoch_metrics(*data(12, 5, 6, seed)).items():
            assert METRICS[name].low <= value <= METRICS[name].high
