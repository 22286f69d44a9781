"""One threshold per label, optimised for a stated target.

The probabilities of each label are scanned in decreasing order; a cut between two neighbours is a threshold. The best
cut of a label with few positives is largely chance, so it is mixed with the best threshold shared by all labels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.special import expit, logit

from thaw.trainables.evaluation.label_set_metrics import f1, included

SHRINKAGE = 10.0
"""Number of positives at which a label's own optimum and the shared one have equal weight."""

MARGIN = 1e-6
"""Thresholds lie this far inside (0, 1), except that a label that is never predicted has the threshold 1."""

SHARED = expit(np.linspace(-7, 7, 141))
"""Candidates for the threshold shared by all labels."""

Ranking = tuple[np.ndarray, np.ndarray]
"""Of one label: image numbers by decreasing probability (N,), and the cuts (C,), each a number of predicted images."""

Rule = Callable[[np.ndarray, np.ndarray, float], np.ndarray]
"""Probabilities (N, L), true labels (N, L) and a precision floor → each label's own best threshold (L,)."""


def _ranking(probabilities: np.ndarray) -> Ranking:
    """The ranking of one label. Images of equal probability cannot be separated; predicting none is also a cut."""
    order = np.argsort(-probabilities, kind="stable")
    ranked = probabilities[order]
    return order, np.concatenate([[0], np.flatnonzero(np.diff(ranked)) + 1, [len(ranked)]])


def _at(cut: int, ranked: np.ndarray) -> float:
    """The threshold that predicts the first `cut` of `ranked`: half-way to the next one, in log-odds."""
    around = np.clip([ranked[max(cut - 1, 0)], ranked[min(cut, len(ranked) - 1)]], MARGIN, 1 - MARGIN)
    if cut == 0:
        around[0] = 1 - MARGIN
    if cut == len(ranked):
        around[1] = MARGIN
    middle = expit(logit(around).mean())
    # Rounding must not put the threshold above the last image that should pass.
    return float(min(middle, ranked[cut - 1]) if cut else middle)


def _best(probabilities: np.ndarray, gains: np.ndarray) -> float:
    """The threshold of the cut with the largest sum of `gains` (N,) over predicted images; in a tie, the fewest."""
    order, cuts = _ranking(probabilities)
    sums = np.concatenate([[0.0], np.cumsum(gains[order])])[cuts]
    # Sums that differ by rounding only are equal.
    best = cuts[np.flatnonzero(sums >= sums.max() - 1e-9)[0]]
    return _at(int(best), probabilities[order])


def _f1_macro(probabilities: np.ndarray, targets: np.ndarray, floor: float) -> np.ndarray:
    """The optimum for each label on its own, where F1 is a micro F1 over one label."""
    pairs = zip(probabilities.T, targets.T, strict=True)
    return np.concatenate([_f1_micro(p[:, None], t[:, None], floor) for p, t in pairs])


def _f1_micro(probabilities: np.ndarray, targets: np.ndarray, floor: float) -> np.ndarray:
    """The exact optimum of ``2 ΣTP / (Σpredicted + Σpositive)`` over all labels' thresholds.

    A ratio of sums is maximal where ``2 ΣTP - F · (Σpredicted + Σpositive)`` is, with F the best ratio; and this
    difference separates into one problem per label. F is found in a few iterations (Dinkelbach, "On nonlinear
    fractional programming", 1967). It also shows the known rule that a label is worth predicting from probability F / 2
    on (Lipton et al., "Optimal thresholding of classifiers to maximize F1 measure", 2014).
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
    """Share of images whose predicted set is a non-empty subset of the true one (Yue et al. 2019, eq. 12, 13).

    Whether an image counts depends on all its labels. So this is coordinate ascent: starting from the best shared
    threshold, each label's threshold in turn is set to its optimum given the others, until nothing changes. Each step
    is exact. The result cannot be improved by changing a single label, but is not always the global optimum.
    """
    thresholds = np.full(probabilities.shape[1], shared_threshold(probabilities, targets, "inclusion_accuracy"))
    predicted = probabilities >= thresholds
    before = np.zeros_like(predicted)
    # This terminates: no step makes fewer images right, and one that makes as many right predicts fewer labels.
    while not np.array_equal(predicted, before):
        before = predicted.copy()
        count, wrong = predicted.sum(axis=1), (predicted & ~targets).sum(axis=1)
        for label in range(len(thresholds)):
            own, truth = predicted[:, label], targets[:, label]
            count, wrong = count - own, wrong - (own & ~truth)
            # If predicted, the label makes an image right or wrong; if not, the image depends on its other labels.
            gains = (wrong == 0) * (truth.astype(float) - (count > 0))
            thresholds[label] = _best(probabilities[:, label], gains)
            predicted[:, label] = own = probabilities[:, label] >= thresholds[label]
            count, wrong = count + own, wrong + (own & ~truth)
    return thresholds


def _precision(probabilities: np.ndarray, targets: np.ndarray, floor: float) -> np.ndarray:
    """The lowest threshold at which a share of at least `floor` of the predictions is right; 1 if there is none."""
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
"""Targets that thresholds can be optimised for."""


def shared_threshold(probabilities: np.ndarray, targets: np.ndarray, target: str, floor: float = 0.9) -> float:
    """The best single threshold for all labels, by `target`."""
    if target == "precision":
        # As if all pairs of an image and a label belonged to one label.
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

    With n the number of images that have the label, own its own optimum and shared the best threshold for all labels::

        logit(threshold) = w · logit(own) + (1 - w) · logit(shared),     w = n / (n + shrinkage)

    The own optimum of a label with five positives depends on single images; it is the more reliable the more positives
    there are. For ``precision`` the stricter of this and the own one is taken, so that shrinkage never lowers a label's
    threshold below the one that reaches the floor on these data. A label that reaches the floor at no threshold is
    never predicted (threshold 1).

    Args:
        probabilities: (N, L) in [0, 1], of images that the model has not been trained on.
        targets: bool (N, L).
        target: a key of `TARGETS`.
        floor: smallest precision in (0, 1], for ``precision``.
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
