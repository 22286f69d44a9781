"""Wrong labels are found among correct ones."""

from __future__ import annotations

import numpy as np
import pytest

from thaw.trainables.data.confident_learning import Doubt, label_doubts


def _predictions(exclusive: bool) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of a good network for 300 images, and the true labels."""
    rng = np.random.default_rng(0)
    truth = np.eye(3, dtype=bool)[rng.integers(0, 3, 300)]
    if not exclusive:
        truth |= rng.random((300, 3)) < 0.2
    scores = np.where(truth, 2.5, -2.5) + rng.normal(0, 1, (300, 3))
    powers = np.exp(scores)
    return (powers / powers.sum(1, keepdims=True) if exclusive else powers / (1 + powers)), truth


@pytest.mark.parametrize("exclusive", [True, False])
def test_labels_that_were_swapped_are_found_first(exclusive: bool) -> None:
    probabilities, truth = _predictions(exclusive)
    given = truth.copy()
    sure = np.argsort(-np.abs(probabilities - 0.5).min(axis=1))[:20]
    if exclusive:
        given[sure] = np.roll(truth[sure], 1, axis=1)
    else:
        given[sure, 0] = ~truth[sure, 0]
    found = label_doubts(probabilities, given, exclusive)
    assert len({doubt.row for doubt in found}) == len(found), "each image once"
    assert len({doubt.row for doubt in found[:20]} & set(sure.tolist())) >= 17
    correct = label_doubts(probabilities, truth, exclusive)
    assert len(correct) < 30 < len(found) + 15, "few correct labels are doubted"


def test_the_facts_of_a_doubt() -> None:
    probabilities = np.array([[0.95, 0.05], [0.9, 0.1], [0.1, 0.9], [0.05, 0.97], [0.02, 0.98]])
    labels = np.array([[1, 0], [1, 0], [0, 1], [0, 1], [1, 0]], bool)
    first, *_ = label_doubts(probabilities, labels, exclusive=True)
    assert first == Doubt(4, 1, False, 0.98)
    [missing, *_] = label_doubts(probabilities, labels, exclusive=False)
    assert missing.row == 4


def test_labels_that_nobody_or_everybody_has() -> None:
    probabilities = np.array([[0.9, 0.2, 0.1], [0.8, 0.1, 0.9]])
    labels = np.array([[1, 0, 0], [1, 0, 1]], bool)
    assert label_doubts(probabilities, labels, exclusive=False) == []
