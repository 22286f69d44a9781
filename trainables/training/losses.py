"""The losses: one row each, with the function that turns logits into probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from thaw.spaces.trial import TrialConfig


def _smooth(targets: Tensor, smoothing: float) -> Tensor:
    """Move targets from 0 and 1 towards 1/2, which all of them reach at `smoothing` = 1."""
    return targets * (1 - smoothing) + smoothing / 2


def _binary_cross_entropy(logits: Tensor, targets: Tensor, config: TrialConfig) -> Tensor:
    """Each label is a separate yes-or-no question."""
    weight = logits.new_full((), config.positive_weight)  # created on the device, not copied to it
    return F.binary_cross_entropy_with_logits(logits, _smooth(targets, config.label_smoothing), pos_weight=weight)


def _focal(
    logits: Tensor, targets: Tensor, config: TrialConfig, gamma_positive: float, gamma_negative: float, clip: float
) -> Tensor:
    """Binary cross entropy that down-weights easy terms; with gammas and `clip` of 0 nothing is down-weighted.

    With p the probability of a label, y its smoothed target and q = max(p - clip, 0)::

        -positive_weight · y · (1 - p)^gamma_positive · log p  -  (1 - y) · q^gamma_negative · log(1 - q)

    Equal gammas make it the focal loss of Lin et al. 2017 (section 3; ``positive_weight`` is the ratio of its alphas),
    unequal ones the asymmetric loss of Ridnik et al. 2021 (section 2), which ignores absent labels with p below `clip`.
    """
    y = _smooth(targets, config.label_smoothing)
    q = (logits.sigmoid() - clip).clamp(min=0)
    # Without a clip it is computed from the logit, since 1 - q may round to 0; with a clip it cannot.
    log_not_q = (1 - q).log() if clip else F.logsigmoid(-logits)
    present = y * (-logits).sigmoid() ** gamma_positive * F.logsigmoid(logits)
    absent = (1 - y) * q**gamma_negative * log_not_q
    return -(config.positive_weight * present + absent).mean()


def _cross_entropy(logits: Tensor, targets: Tensor, config: TrialConfig) -> Tensor:
    """Exactly one label is present: each row of the targets holds exactly one 1."""
    return F.cross_entropy(logits, targets, label_smoothing=config.label_smoothing)


@dataclass(frozen=True)
class Loss:
    """One row of the table.

    Args:
        mean: logits (N, L), targets (N, L) of 0 and 1, configuration → mean loss.
        probabilities: logits (N, L) → probabilities (N, L).
    """

    mean: Callable[[Tensor, Tensor, TrialConfig], Tensor]
    probabilities: Callable[[Tensor], Tensor]


LOSSES: dict[str, Loss] = {
    "bce": Loss(_binary_cross_entropy, torch.sigmoid),
    "focal": Loss(partial(_focal, gamma_positive=2, gamma_negative=2, clip=0), torch.sigmoid),
    "asymmetric": Loss(partial(_focal, gamma_positive=0, gamma_negative=4, clip=0.05), torch.sigmoid),
    "softmax": Loss(_cross_entropy, partial(torch.softmax, dim=-1)),
}
"""Losses by name. The exponents and the clip are those recommended by the authors of the losses."""


def build_loss(config: TrialConfig) -> Callable[[Tensor, Tensor], Tensor]:
    """The configuration's loss, with its ``positive_weight`` and ``label_smoothing``.

    Returns:
        A function from logits (N, L) and targets (N, L), floats that are 0 or 1, to a scalar: the mean over images and
        labels, for ``softmax`` the mean over images.
    """
    mean = LOSSES[config.loss].mean
    return lambda logits, targets: mean(logits, targets, config)


def probabilities(logits: Tensor, loss: str) -> Tensor:
    """Probabilities (N, L) in [0, 1] of a network trained with `loss`; for ``softmax`` they sum to 1 over labels."""
    return LOSSES[loss].probabilities(logits)
