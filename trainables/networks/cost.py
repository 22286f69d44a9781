"""What a network costs, stage by stage; nothing is computed, only counted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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
        kept: numbers that its parts give, which training keeps for the backward pass; an estimate, as what happens
            between parts is not seen, and not everything has to be kept.
    """

    shape: tuple[int, ...]
    parameters: int
    macs: int
    kept: int = 0


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
    for number, stage in enumerate(stages, 1):
        with FlopCounterMode(display=False) as counter, _counted_outputs(stage) as outputs:
            features = _run(stage, features, f"stage {number} of {name}", image_size)
        modules = [stage, pool] if stage is stages[-1] else [stage]
        parameters = sum(p.numel() for module in modules for p in module.parameters())
        rows.append(StageCost(tuple(features.shape[1:]), parameters, counter.get_total_flops() // 2, _numbers(outputs)))
    pooled = _run(pool, features, f"the pool of {name}", image_size)
    if pooled.ndim != 2:
        raise ConfigError(f"the pool of {name} must give (images, features), got {tuple(pooled.shape)}; give another")
    return Cost(tuple(rows), pooled.shape[1])


def inference_cost(cost: Cost, head: nn.Module) -> dict[str, float]:
    """What a backbone and its head cost for one image: ``parameters`` and ``macs``, as in a model that is handed over.

    Args:
        head: may be on ``meta``; of its modules dense layers count.
    """
    dense = [layer for layer in head.modules() if isinstance(layer, nn.Linear)]
    return {
        "parameters": sum(stage.parameters for stage in cost.stages) + sum(p.numel() for p in head.parameters()),
        "macs": sum(stage.macs for stage in cost.stages) + sum(layer.weight.numel() for layer in dense),
    }


@contextmanager
def _counted_outputs(stage: nn.Module) -> Iterator[list[Tensor]]:
    """What the innermost modules give while the stage runs."""
    outputs: list[Tensor] = []
    leaves = [module for module in stage.modules() if next(module.children(), None) is None]
    handles = [leaf.register_forward_hook(lambda _, __, given: outputs.append(given)) for leaf in leaves]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _numbers(outputs: list[Tensor]) -> int:
    """How many different numbers; a module that works in place gives the same memory again."""
    tensors = [given for given in outputs if isinstance(given, Tensor)]
    return sum({tensor.untyped_storage()._cdata: tensor.numel() for tensor in tensors}.values())


@torch.no_grad()
def _run(module: nn.Module, features: Tensor, part: str, image_size: int) -> Tensor:
    try:
        given = module(features)
    except RuntimeError as error:
        raise ConfigError(f"{part} needs larger images than {image_size} pixels a side: {error}") from error
    except Exception as error:  # code of others
        raise ConfigError(f"{part} fails on images of {image_size} pixels: {type(error).__name__}: {error}") from error
    if not isinstance(given, Tensor):
        what = f"{len(given)} of them" if isinstance(given, tuple | list) else type(given).__name__
        raise ConfigError(f"{part} must give one tensor, got {what}; divide the network where a single one goes on")
    return given
