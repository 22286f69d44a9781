"""One threshold a label, for a stated target.

Each label's probabilities are gone through from the highest down; a cut between two neighbours is a threshold. The best
cut of a label with few positives is luck, so it is mixed with the best threshold that all labels could share.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit

from thaw.trainables.evaluation.label_set_metrics import f1, included

SHRINKAGE = 10.0
"""Positives at which a label's own optimum and the shared one count the same."""

MARGIN = 1e-6
"""Thresholds lie this far inside (0, 1), unless a label is never predicted: then its threshold is 1."""

SHARED = expit(np.linspace(-7, 7, 141))
"""The thresholds that are tried for all labels together."""

Ranking = tuple[np.ndarray, np.ndarray]
"""Of one label: image numbers by falling probability (N,); the cuts (C,): how many of them may be predicted."""

Rule = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""Probabilities (N, L), true labels (N, L) and a precision floor → each label's own best threshold (L,)."""


def _ranking(probabilities: np.ndarray) -> Ranking:
    """Images of equal probability cannot be cut apart; predicting none is a cut, too."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    return order, np.concatenate([[0], np.flatnonzero(np.diff(ranked)) + 1, [len(ranked)]])


def _at(cut: int, ranked: np.ndarray) -> float:
    """The threshold that predicts the first `cut` of `ranked`: half-way to the next one, on the scale of log-odds."""
    around = np.clip([ranked[max(cut - 1, 0)], ranked[min(cut, len(ranked) - 1)]], MARGIN, 1 - MARGIN)
    if cut == 0:
        around[0] = 1 - MARGIN
    if cut == len(ranked):
        around[1] = MARGIN
    middle = expit(logit(around).mean())
    # Rounding must not put the threshold above the last image that it is to let through.
    return float(min(middle, ranked[cut - 1]) if cut else middle)


def _best(probabilities: np.ndarray, gains: np.ndarray) -> float:
    """The threshold of the cut with the largest sum of `gains` (N,) over the predicted images; fewer ones of equals."""
    order, cuts = _ranking(probabilities)
    sums = np.concatenate([[0.0], np.cumsum(gains[order])])[cuts]
    # Sums that differ by rounding only are equal.
    best = cuts[np.flatnonzero(sums >= sums.max() - 1e-9)[0]]
    return _at(int(best), probabilities[order])


def _f1_macro(probabilities: np.ndarray, targets: np.ndarray, floor: float) -> np.ndarray:
    """F1 of each label for itself: each is a micro F1 over one label."""
    pairs = zip(probabilities.T, targets.T, strict=True)
    return np.concatenate([_f1_micro(p[:, None], t[:, None], floor) for p, t in pairs])


def _f1_micro(probabilities: np.ndarray, targets: np.ndarray, floor: float) -> np.ndarray:
    """The exact optimum of ``2 ΣTP / (Σpredicted + Σpositive)`` over all labels' thresholds.

    A ratio of sums is maximal where ``2 ΣTP - F · (Σpredicted + Σpositive)`` is, for F the best ratio; and this
    difference falls into one problem a label. F is found in a few rounds (Dinkelbach, "On nonlinear fractional
    programming", 1967). It also shows the known rule that an image is worth predicting from probability F / 2 on
    (Lipton et al., "Optimal thresholding of classifiers to maximize F1 measure", 2014).
    """
    ratio = 0.0
    thresholds = np.full(probabilities.shape[1], 1.0)
    while True:
        gains = 2.0 * targets - ratio
        found = np.array([_best(p, g) for p, g in zip(probabilities.T, gains.T, strict=True)])
        predicted = probabilities >= found
        reached = _value(predicted, targets, "f1_micro")
        if reached <= ratio + 1e-12:
            return thresholds if ratio else found
        ratio, thresholds = reached, found


def _inclusion_accuracy(probabilities: np.ndarray, targets: np.ndarray, floor: float) -> np.ndarray:
    """Share of images with a predicted set that is not empty and within the true one (Yue et al. 2019, eq. 12, 13).

    Whether an image counts depends on all its labels, so one label's threshold after another is set to its best while
    the others stand, from the best shared threshold, until nothing changes. Each step is exact; the end is an
    optimum that no single label can improve, not surely the best of all.
    """
    thresholds = np.full(probabilities.shape[1], shared_threshold(probabilities, targets, "inclusion_accuracy"))
    predicted = probabilities >= thresholds
    before = np.zeros_like(predicted)
    # It ends: no step makes fewer images right, and one that makes as many right predicts fewer labels.
    while not np.array_equal(predicted, before):
        before = predicted.copy()
        count, wrong = predicted.sum(axis=1), (predicted & ~targets).sum(axis=1)
        for label in range(len(thresholds)):
            own, truth = predicted[:, label], targets[:, label]
            count, wrong = count - own, wrong - (own & ~truth)
            # Predicted, the label makes an image right or wrong; left out, the image stands by its other labels.
            gains = (wrong == 0) * (truth.astype(float) - (count > 0))
            thresholds[label] = _best(probabilities[:, label], gains)
            predicted[:, label] = own = probabilities[:, label] >= thresholds[label]
            count, wrong = count + own, wrong + (own & ~truth)
    return thresholds


def _precision(probabilities: np.ndarray, targets: np.ndarray, floor: float) -> np.ndarray:
    """The lowest threshold whose predictions are right in a share of `floor` or more; 1 where none is."""
    thresholds = np.ones(probabilities.shape[1])
    for label, (p, t) in enumerate(zip(probabilities.T, targets.T, strict=True)):
        order, cuts = _ranking(p)
        cuts = cuts[1:]
        enough = cuts[np.cumsum(t[order])[cuts - 1] >= floor * cuts]
        if len(enough):
            thresholds[label] = _at(int(enough[-1]), p[order])
    return thresholds


TARGETS: dict[str, Rule] = {
    "f1_macro": _f1_macro,
    "f1_micro": _f1_micro,
    "inclusion_accuracy": _inclusion_accuracy,
    "precision": _precision,
}
"""What thresholds can be chosen for."""


def shared_threshold(probabilities: np.ndarray, targets: np.ndarray, target: str, floor: float = 0.9) -> float:
    """The one threshold for all labels that serves `target` best."""
    if target == "precision":
        # As if all pairs of an image and a label were of one label.
        return float(_precision(probabilities.reshape(-1, 1), targets.reshape(-1, 1), floor)[0])
    values = [_value(probabilities >= candidate, targets, target) for candidate in SHARED]
    return float(SHARED[int(np.argmax(values))])


def _value(predicted: np.ndarray, targets: np.ndarray, target: str) -> float:
    if target == "inclusion_accuracy":
        return float(included(predicted, targets).mean())
    axis = 0 if target == "f1_macro" else None
    hits = (predicted & targets).sum(axis=axis)
    return float(np.mean(f1(hits, predicted.sum(axis=axis) + targets.sum(axis=axis))))


def fit_thresholds(
    probabilities: np.ndarray, targets: np.ndarray, target: str, floor: float = 0.9, shrinkage: float = SHRINKAGE
) -> np.ndarray:
    """Each label's threshold for `target`, shrunk for rare labels.

    With n the images that have the label, own its own optimum and shared the best threshold for all labels::

        logit(threshold) = w · logit(own) + (1 - w) · logit(shared),     w = n / (n + shrinkage)

    The own optimum of a label with five positives follows single images; the more positives, the more it is to be
    believed. Under ``precision`` the stricter of this and the own one is taken, so that the mixture never lets a label
    pass below the floor that it needs on these data; a label that reaches it nowhere is never predicted (threshold 1).

    Args:
        probabilities: (N, L) in [0, 1], of images that the model has not been trained on.
        targets: bool (N, L).
        target: a key of `TARGETS`.
        floor: the least precision in (0, 1], for ``precision``.
        shrinkage: >= 0; 0 takes each label's own optimum.

    Returns:
        (L,) in (0, 1].
    """
    own = TARGETS[target](probabilities, targets, floor)
    positives = targets.sum(axis=0)
    weight = positives / np.maximum(positives + shrinkage, MARGIN)
    inside = np.clip(
        [own, np.full_like(own, shared_threshold(probabilities, targets, target, floor))], MARGIN, 1 - MARGIN
    )
    mixed = expit(weight * logit(inside[0]) + (1 - weight) * logit(inside[1]))
    mixed = np.where(weight == 1, own, mixed)
    return np.maximum(mixed, own) if target == "precision" else mixed
