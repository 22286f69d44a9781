"""The formulas of the metrics in `spaces.metrics`, from one matrix of probabilities and one of true labels."""

from __future__ import annotations

import torch
from torch import Tensor

from thaw.spaces import measured
from thaw.trainables.evaluation.label_set_metrics import in_top_k


def average_precision(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Average precision of each label.

    With the images ranked by decreasing probability, those of equal probability taken together, it is the sum of
    precision times gain in recall, without interpolation (as in scikit-learn).

    Args:
        probabilities: (N, L).
        targets: (N, L), bool or 0 and 1.

    Returns:
        float64 (L,) in [0, 1]; NaN where no image has the label.
    """
    # Labels in rows, so that each is sorted in contiguous memory.
    ranked, order = probabilities.T.contiguous().sort(dim=1, descending=True)
    found = targets.T.bool().gather(1, order)
    # Each image counts with the last one of its probability, so that the order within a tie does not matter.
    rank = torch.arange(len(probabilities), device=order.device).expand_as(order)
    ends = torch.where(ranked[:, :-1] != ranked[:, 1:], rank[:, :-1], len(probabilities))
    last = torch.cat([ends, rank[:, -1:]], dim=1).flip(1).cummin(dim=1).values.flip(1)
    hits = found.cumsum(dim=1)
    precision = hits.gather(1, last).double() / (last + 1)
    return (precision * found).sum(dim=1) / hits[:, -1]


def epoch_metrics(
    probabilities: Tensor, targets: Tensor, threshold: float = 0.5, single_label: bool = False
) -> dict[str, float]:
    """Every metric of :mod:`thaw.spaces.metrics` that applies to the data set, except the loss.

    With P an image's predicted set, the labels of probability >= `threshold`, and T its true set:

    ========================  ===================================================================================
    ``map``                   mean of :func:`average_precision` over the labels that have a positive; NaN if none has
    ``f1_micro``              2 TP / (2 TP + FP + FN), counted over all images and labels; 0 where that is 0 / 0
    ``f1_macro``              mean over all labels of the same, counted within each label
    ``exact_match``           share of images with P = T
    ``hamming_accuracy``      share of the N · L pairs on which P and T agree
    ``inclusion_accuracy``    share of images with P ≠ ∅ and P ⊆ T (Yue et al. 2019, eq. 12 and 13)
    ``top1_accuracy``         share of images whose most probable label is in T (1 - one-error); if several labels are
                              equally most probable, the share of these in T, so that their order does not matter
    ``accuracy``              share of images whose only label is the most probable one (:func:`in_top_k`)
    ``balanced_accuracy``     mean of the same within each label, over the labels that have an image
    ``top5_accuracy``         share of images whose only label is among the five most probable
    ========================  ===================================================================================

    An image without true labels can therefore never be right by the last five metrics.

    Args:
        probabilities: (N, L) in [0, 1], N >= 1.
        targets: (N, L), bool or 0 and 1.
        threshold: in [0, 1].
        single_label: also measure accuracies; see :func:`thaw.spaces.measured`.

    Returns:
        Metric name → value in [0, 1]; NaN for a metric without a value.
    """
    truth = targets.bool()
    predicted = probabilities >= threshold
    agree = predicted == truth
    hits, denominator = (predicted & truth).sum(dim=0), predicted.sum(dim=0) + truth.sum(dim=0)
    top = probabilities == probabilities.amax(dim=1, keepdim=True)
    values = {
        "map": average_precision(probabilities, truth).nanmean(),
        "f1_micro": _f1(hits.sum(), denominator.sum()),
        "f1_macro": _f1(hits, denominator).mean(),
        "exact_match": agree.all(dim=1).double().mean(),
        "hamming_accuracy": agree.double().mean(),
        "inclusion_accuracy": (predicted.any(dim=1) & ~(predicted & ~truth).any(dim=1)).double().mean(),
        "top1_accuracy": ((top & truth).sum(dim=1) / top.sum(dim=1)).double().mean(),
    }
    names = [name for name in measured(single_label, probabilities.shape[1]) if name != "loss"]
    if single_label:
        right = in_top_k(probabilities, truth, 1).double()
        values |= {
            "accuracy": right.mean(),
            "balanced_accuracy": ((right @ truth.double()) / truth.sum(dim=0)).nanmean(),
            "top5_accuracy": in_top_k(probabilities, truth, 5).double().mean(),
        }
    # One transfer from the device for all of them.
    return dict(zip(names, torch.stack([values[name] for name in names]).tolist(), strict=True))


def _f1(hits: Tensor, denominator: Tensor) -> Tensor:
    """F1 from TP and 2 TP + FP + FN, which is the number of predicted labels plus that of true labels."""
    return 2 * hits.double() / denominator.clamp(min=1)
