"""Parameter groups of the optimiser: learning rate and weight decay of each weight."""

from __future__ import annotations

from typing import Any

from torch import nn

from thaw.spaces.trial import TrialConfig
from thaw.trainables.networks.freezing import Network
from thaw.trainables.networks.tuning import blocks

TRANSFORMER_CLIP = 1.0
"""Default norm to which a transformer's gradients are clipped; usual in fine-tuning transformers."""


def parameter_groups(config: TrialConfig, network: Network, transformer: bool) -> list[dict[str, Any]]:
    """The head at the full learning rate, the thawed part at a fraction of it.

    With ``layer_decay`` d the fraction of a block is ``backbone_lr_scale * d^k``, k blocks below the head (Howard &
    Ruder, "Universal language model fine-tuning", ACL 2018, section 3.2; Clark et al., "ELECTRA", ICLR 2020, appendix).

    Args:
        config: ``backbone_lr_scale``, ``layer_decay`` and ``decay`` are used.
        network: the network of this configuration.
        transformer: whether it is a transformer, see ``Cost.transformer``.

    Returns:
        Groups for an optimiser: ``params, lr_scale``, and ``weight_decay`` where it differs from the optimiser's.
    """
    groups: list[dict[str, Any]] = [{"params": network.head_parameters(), "lr_scale": 1.0}]
    if config.layer_decay == 1.0:
        groups.append({"params": network.backbone_parameters(), "lr_scale": config.backbone_lr_scale})
    else:
        below = blocks(network.tail[:-1])
        groups += [
            {"params": weights, "lr_scale": config.backbone_lr_scale * config.layer_decay ** (len(below) - position)}
            for position, weights in enumerate(below)
        ]
    if config.decay == "all" or (config.decay == "auto" and not transformer):
        return groups
    decaying = {id(weight) for name, weight in network.tail.named_parameters() if decays(name, weight)}
    return [part for group in groups for part in _split_by_decay(group, decaying)]


def _split_by_decay(group: dict[str, Any], decaying: set[int]) -> list[dict[str, Any]]:
    with_decay = {**group, "params": [weight for weight in group["params"] if id(weight) in decaying]}
    without = {**group, "params": [weight for weight in group["params"] if id(weight) not in decaying]}
    return [with_decay, {**without, "weight_decay": 0.0}]


def decays(name: str, weight: nn.Parameter) -> bool:
    """Whether a weight should decay: matrices and kernels do; norms, biases, tokens and embeddings do not."""
    return weight.ndim > 1 and name.rpartition(".")[2] in ("weight", "down", "up")


def largest_norm(config: TrialConfig, transformer: bool) -> float:
    """The norm to which the gradients of a step are clipped; 0 for no clipping."""
    if config.clip_norm is not None:
        return config.clip_norm
    return TRANSFORMER_CLIP if transformer else 0.0
