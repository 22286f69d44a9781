"""What a network costs, stage by stage; nothing is computed, only counted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from thaw.spaces import ConfigError
from thaw.trainables.networks.layout import channels_first


@dataclass(frozen=True)
class StageCost:
    """What one stage is and costs, for one image.

    Args:
        shape: of what it gives, without the batch: feature maps (C, H, W) or (H, W, C), or tokens (T, C).
        parameters: number of weights; with the last stage's count what is frozen with it.
        macs: multiply-accumulate operations of convolutions and dense layers, forward.
    """

    shape: tuple[int, ...]
    parameters: int
    macs: int


@dataclass(frozen=True)
class Cost:
    """What a backbone costs, for one image.

    Args:
        stages: in the order of the data.
        features: width of what the head gets to see.
    """

    stages: tuple[StageCost, ...]
    features: int

    @property
    def transformer(self) -> bool:
        """Whether features are tokens or maps with the channels last, as in transformers and their like."""
        return any(not channels_first(stage.shape) for stage in self.stages)

    def shape(self, freeze_depth: int) -> tuple[int, ...]:
        """Of what leaves a prefix of 1 to all stages; the pool goes with the last."""
        return (self.features,) if freeze_depth == len(self.stages) else self.stages[freeze_depth - 1].shape

    def size(self, freeze_depth: int) -> int:
        """Numbers that leave a prefix; times the bytes of one is what storing takes."""
        return math.prod(self.shape(freeze_depth))


def measure_cost(layers: Mapping[str, nn.Module], name: str, image_size: int) -> Cost:
    """Count what the layers of a backbone do with a square image.

    Args:
        layers: stages and pool, on ``meta``.
        name: of the architecture, for errors.
        image_size: pixels.

    Raises:
        ConfigError: the network is too deep for so small images.
    """
    from torch.utils.flop_counter import FlopCounterMode

    *stages, pool = layers.values()
    features, rows = torch.empty(1, 3, image_size, image_size, device="meta"), []
    for stage in stages:
        with FlopCounterMode(display=False) as counter:
            features = _run(stage, features, name, image_size)
        modules = [stage, pool] if stage is stages[-1] else [stage]
        parameters = sum(p.numel() for module in modules for p in module.parameters())
        rows.append(StageCost(tuple(features.shape[1:]), parameters, counter.get_total_flops() // 2))
    return Cost(tuple(rows), _run(pool, features, name, image_size).shape[1])


@torch.no_grad()
def _run(module: nn.Module, features: Tensor, name: str, image_size: int) -> Tensor:
    try:
        return module(features)
    except RuntimeError as error:
        raise ConfigError(f"{name} needs larger images than {image_size} pixels a side: {error}") from error
