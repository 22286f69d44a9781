"""Bootstrap estimates: the values against the metrics themselves, the intervals against resampling by hand."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from thaw.spaces import METRICS
from thaw.trainables.evaluation.bootstrap import _Measure, bootstrap
from thaw.trainables.evaluation.metrics import epoch_metrics
from thaw.trainables.evaluation.trivial import trivial_metrics


def data(images: int, labels: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Probabilities with ties, the sets above 0.5, and true labels."""
    rng = np.random.default_rng(seed)
    probabilities = np.round(rng.random((images, labels)), 1)
    return probabilities, probabilities >= 0.5, rng.random((images, labels)) < 0.3


@settings(max_examples=30)
@given(seed=st.integers(0, 10**6), images=st.integers(1, 30), labels=st.integers(1, 12))
def test_every_resample_is_scored_as_if_its_images_stood_there(seed: int, images: int, labels: int) -> None:
    probabilities, sets, targets = data(images, labels, seed)
    drawn = np.random.default_rng(seed).integers(0, images, (3, images))
    counts = np.array([np.bincount(row, minlength=images) for row in drawn], float)
    values = _Measure(probabilities, sets, targets, METRICS)(counts)
    assert set(values) == set(METRICS)
    for number, rows in enumerate(drawn):
        tensors = torch.from_numpy(probabilities[rows]), torch.from_numpy(targets[rows])
        for name, expected in epoch_metrics(*tensors, 0.5, single_label=True).items():
            assert values[name][number] == pytest.approx(expected, abs=1e-6, nan_ok=True), name


def test_the_loss_is_that_of_the_trivial_predictors() -> None:
    _, _, targets = data(50, 4)
    constant = np.tile(targets.mean(axis=0), (50, 1))
    loss = bootstrap(constant, constant >= 0.5, targets)["loss"]
    assert loss.value == pytest.approx(trivial_metrics(targets, targets)["label_frequencies"]["loss"])


def test_images_that_come_several_times_are_drawn_together() -> None:
    once = data(40, 3)
    twice = [np.concatenate([part, part]) for part in once]
    found = bootstrap(twice[0], twice[1], twice[2], images=np.tile(np.arange(40) * 7, 2))
    for name, estimate in bootstrap(*once).items():
        assert astuple(found[name]) == pytest.approx(astuple(estimate)), name


def test_intervals_hold_their_value_and_shrink_with_more_images() -> None:
    widths = []
    for images in (50, 800):
        found = bootstrap(*data(images, 4))
        for name, estimate in found.items():
            assert METRICS[name].low <= estimate.low <= estimate.high <= METRICS[name].high
        for name in ("hamming_accuracy", "inclusion_accuracy", "f1_micro", "loss"):
            assert found[name].low < found[name].value < found[name].high
        widths.append(found["hamming_accuracy"].high - found["hamming_accuracy"].low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)


def test_the_interval_of_a_share_is_the_textbooks() -> None:
    """Of 400 images, 100 have exact matches: a binomial share, whose 95 % interval is known."""
    targets = np.zeros((400, 2), bool)
    targets[:100] = True
    sets = np.ones((400, 2), bool)
    exact = bootstrap(np.full((400, 2), 0.5), sets, targets, resamples=4000)["exact_match"]
    half = 1.96 * math.sqrt(0.25 * 0.75 / 400)
    assert (exact.value, exact.low, exact.high) == pytest.approx((0.25, 0.25 - half, 0.25 + half), abs=0.004)


def test_equal_seeds_give_equal_intervals_whatever_fits_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap(*data(60, 3), resamples=50, seed=3)
    monkeypatch.setattr("thaw.trainables.evaluation.bootstrap.CHUNK", 500)
    assert bootstrap(*data(60, 3), resamples=50, seed=3) == whole
    assert bootstrap(*data(60, 3), resamples=50, seed=4) != whole


def test_without_any_positive_there_is_no_average_precision() -> None:
    probabilities, sets, targets = data(20, 3)
    estimate = bootstrap(probabilities, sets, np.zeros_like(targets))["map"]
    assert math.isnan(estimate.value) and math.isnan(estimate.low) and math.isnan(estimate.high)
