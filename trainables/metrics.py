"""The formulas behind the names in :mod:`spaces.metrics`, from one matrix of probabilities and one of true labels."""

from __future__ import annotations

from typing import Any

import torch
import torchmetrics.functional.classification as tm
from torch import Tensor


def average_precision(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Average precision of each label.

    Going down the images from the most to the least probable, those of equal probability taken together, it is the sum
    of precision times gain in recall, without interpolation (as in scikit-learn).

    Args:
        probabilities: (N, L).
        targets: (N, L), bool or 0 and 1.

    Returns:
        (L,) in [0, 1]; NaN where no image has the label.
    """
    present = targets.bool().any(dim=0)
    values = torch.full(present.shape, torch.nan, device=probabilities.device)
    if present.any():
        chosen, truth = probabilities[:, present], targets[:, present].long()
        values[present] = tm.multilabel_average_precision(
            chosen, truth, num_labels=chosen.shape[1], average="none", validate_args=False
        )
    return values


def epoch_metrics(probabilities: Tensor, targets: Tensor, threshold: float = 0.5) -> dict[str, float]:
    """Every metric of :mod:`spaces.metrics` but the loss.

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
    ========================  ===================================================================================

    An image without true labels can therefore never be right by the last two.

    Args:
        probabilities: (N, L) in [0, 1], N >= 1.
        targets: (N, L), bool or 0 and 1.
        threshold: in [0, 1].

    Returns:
        Metric name → value in [0, 1].
    """
    truth = targets.bool()
    predicted = probabilities >= threshold  # torchmetrics' own threshold would be exclusive
    score: dict[str, Any] = {
        "preds": predicted.int(),
        "target": truth.int(),
        "num_labels": truth.shape[1],
        "validate_args": False,
    }
    top = probabilities == probabilities.amax(dim=1, keepdim=True)
    values = {
        "map": average_precision(probabilities, truth).nanmean(),
        "f1_micro": tm.multilabel_f1_score(**score, average="micro"),
        "f1_macro": tm.multilabel_f1_score(**score, average="macro"),
        "exact_match": tm.multilabel_exact_match(**score),
        "hamming_accuracy": tm.multilabel_accuracy(**score, average="micro"),
        "inclusion_accuracy": (predicted.any(dim=1) & ~(predicted & ~truth).any(dim=1)).double().mean(),
        "top1_accuracy": ((top & truth).sum(dim=1) / top.sum(dim=1)).double().mean(),
    }
    # One look at the device for all of them.
    return dict(zip(values, torch.stack([value.double() for value in values.values()]).tolist(), strict=True))
