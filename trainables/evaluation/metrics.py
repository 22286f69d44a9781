"""The formulas behind the names in `spaces.metrics`, from one matrix of probabilities and one of true labels."""

from __future__ import annotations

import torch
from torch import Tensor

from thaw.spaces import measured
from thaw.trainables.evaluation.label_set_metrics import among_first


def average_precision(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Average precision of each label.

    Going down the images from the most to the least probable, those of equal probability taken together, it is the sum
    of precision times gain in recall, without interpolation (as in scikit-learn).

    Args:
        probabilities: (N, L).
        targets: (N, L), bool or 0 and 1.

    Returns:
        float64 (L,) in [0, 1]; NaN where no image has the label.
    """
    # Labels in rows, so that each is sorted in one piece of memory.
    ranked, order = probabilities.T.contiguous().sort(dim=1, descending=True)
    found = targets.T.bool().gather(1, order)
    # Each image counts with the last one of its probability, so that the order of equals plays no part.
    place = torch.arange(len(probabilities), device=order.device).expand_as(order)
    ends = torch.where(ranked[:, :-1] != ranked[:, 1:], place[:, :-1], len(probabilities))
    last = torch.cat([ends, place[:, -1:]], dim=1).flip(1).cummin(dim=1).values.flip(1)
    hits = found.cumsum(dim=1)
    precision = hits.gather(1, last).double() / (last + 1)
    return (precision * found).sum(dim=1) / hits[:, -1]


def epoch_metrics(
    probabilities: Tensor, targets: Tensor, threshold: float = 0.5, single_label: bool = False
) -> dict[str, float]:
    """Every metric of :mod:`thaw.spaces.metrics` that the data set has, but the loss.

    With P an image's predicted set, the labels of probability >= `threshold`, and T its true set:

    ========================  ===================================================================================
    ``map``                   mean of :func:`average_precision` over the labels that have a positive; NaN if none has
    ``f1_micro``              2 TP / (2 TP + FP + FN), counted over all images and labels; 0 where that is 0 / 0
    ``f1_macro``              mean over all labels of the same, counted within each
    ``exact_match``           share of images with P = T
    ``hamming_accuracy``      share of the N · L pairs on which P and T agree
    ``inclusion_accuracy``    share of images with P ≠ ∅ and P ⊆ T (Yue et al. 2019, eq. 12 and 13)
    ``top1_accuracy``         share of images whose most probable label is in T (1 - one-error); where several labels
                              are equally most probable, the share of these in T, so that their order plays no part
    ``accuracy``              share of images whose only label is the most probable one (:func:`among_first`)
    ``balanced_accuracy``     mean over the labels with an image of the same, within each
    ``top5_accuracy``         share of images whose only label is among the five most probable
    ========================  ===================================================================================

    An image without true labels can therefore never be right by the last five.

    Args:
        probabilities: (N, L) in [0, 1], N >= 1.
        targets: (N, L), bool or 0 and 1.
        threshold: in [0, 1].
        single_label: measure accuracies, too; see :func:`thaw.spaces.measured`.

    Returns:
        Metric name → value in [0, 1]; NaN where it has none.
    """
    truth = targets.bool()
    predicted = probabilities >= threshold
    agree = predicted == truth
    both, said_or_true = (predicted & truth).sum(dim=0), predicted.sum(dim=0) + truth.sum(dim=0)
    top = probabilities == probabilities.amax(dim=1, keepdim=True)
    values = {
        "map": average_precision(probabilities, truth).nanmean(),
        "f1_micro": _f1(both.sum(), said_or_true.sum()),
        "f1_macro": _f1(both, said_or_true).mean(),
        "exact_match": agree.all(dim=1).double().mean(),
        "hamming_accuracy": agree.double().mean(),
        "inclusion_accuracy": (predicted.any(dim=1) & ~(predicted & ~truth).any(dim=1)).double().mean(),
        "top1_accuracy": ((top & truth).sum(dim=1) / top.sum(dim=1)).double().mean(),
    }
    names = [name for name in measured(single_label, probabilities.shape[1]) if name != "loss"]
    if single_label:
        right = among_first(probabilities, truth, 1).double()
        values |= {
            "accuracy": right.mean(),
            "balanced_accuracy": ((right @ truth.double()) / truth.sum(dim=0)).nanmean(),
            "top5_accuracy": among_first(probabilities, truth, 5).double().mean(),
        }
    # One look at the device for all of them.
    return dict(zip(names, torch.stack([values[name] for name in names]).tolist(), strict=True))


def _f1(both: Tensor, said_or_true: Tensor) -> Tensor:
    """From TP and from 2 TP + FP + FN, which is the number of predictions and truths together."""
    return 2 * both.double() / said_or_true.clamp(min=1)
