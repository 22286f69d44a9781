"""Cost of a network, stage by stage: counted, without computing anything."""

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
    """Output and cost of one stage, for one image.

    Args:
        shape: shape of its output without the batch: feature maps (C, H, W) or (H, W, C), or tokens (T, C).
        parameters: number of weights; for the last stage it includes those of the pool, which is frozen with it.
        macs: multiply-accumulate operations of convolutions and dense layers in the forward pass.
        kept: number of output elements of its modules, which training keeps for the backward pass; an estimate, as
            operations between modules are not counted, and not every output has to be kept.
    """

    shape: tuple[int, ...]
    parameters: int
    macs: int
    kept: int = 0


@dataclass(frozen=True)
class Cost:
    """Cost of a backbone, for one image.

    Args:
        stages: the stages in forward order.
        features: number of features that the head receives.
    """

    stages: tuple[StageCost, ...]
    features: int

    @property
    def transformer(self) -> bool:
        """Whether features are tokens or channels-last feature maps, as in transformers and similar networks."""
        return any(not channels_first(stage.shape) for stage in self.stages)

    def shape(self, freeze_depth: int) -> tuple[int, ...]:
        """Output shape of a prefix of 1 to all stages; the last stage includes the pool."""
        return (self.features,) if freeze_depth == len(self.stages) else self.stages[freeze_depth - 1].shape

    def size(self, freeze_depth: int) -> int:
        """Number of output elements of a prefix; times bytes per element it is the size in storage."""
        return math.prod(self.shape(freeze_depth))


def measure_cost(layers: Mapping[str, nn.Module], name: str, image_size: int) -> Cost:
    """Count the operations of a backbone's layers on a square image.

    Args:
        layers: stages and pool, on ``meta``.
        name: name of the architecture, for error messages.
        image_size: side of the image in pixels.

    Raises:
        ConfigError: the network is too deep for images this small.
    """
    from torch.utils.flop_counter import FlopCounterMode

    *stages, pool = layers.values()
    features, rows = torch.empty(1, 3, image_size, image_size, device="meta"), []
    for number, stage in enumerate(stages, 1):
        with FlopCounterMode(display=False) as counter, _counted_outputs(stage) as outputs:
            features = _run(stage, features, f"stage {number} of {name}", image_size)
        modules = [stage, pool] if stage is stages[-1] else [stage]
        parameters = sum(p.numel() for module in modules for p in module.parameters())
        rows.append(
            StageCost(tuple(features.shape[1:]), parameters, counter.get_total_flops() // 2, _elements(outputs))
        )
    pooled = _run(pool, features, f"the pool of {name}", image_size)
    if pooled.ndim != 2:
        raise ConfigError(f"the pool of {name} must give (images, features), got {tuple(pooled.shape)}; give another")
    return Cost(tuple(rows), pooled.shape[1])


def inference_cost(cost: Cost, head: nn.Module) -> dict[str, float]:
    """What a backbone and its head cost for one image: ``parameters`` and ``macs``, as in an exported model.

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
    """Collect the outputs of the innermost modules while the stage runs."""
    outputs: list[Tensor] = []
    leaves = [module for module in stage.modules() if next(module.children(), None) is None]
    handles = [leaf.register_forward_hook(lambda _, __, output: outputs.append(output)) for leaf in leaves]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def _elements(outputs: list[Tensor]) -> int:
    """Number of elements; memory that a module returns again because it works in place is counted once."""
    tensors = [output for output in outputs if isinstance(output, Tensor)]
    return sum({tensor.untyped_storage()._cdata: tensor.numel() for tensor in tensors}.values())


@torch.no_grad()
def _run(module: nn.Module, features: Tensor, part: str, image_size: int) -> Tensor:
    try:
        output = module(features)
    except Exception as error:  # third-party code, or images so small that nothing is left of them
        rule = f"{part} fails on images of {image_size} pixels: {type(error).__name__}: {error}"
        raise ConfigError(f"{rule}; give larger images, or correct the network") from error
    if not isinstance(output, Tensor):
        what = f"{len(output)} of them" if isinstance(output, tuple | list) else type(output).__name__
        raise ConfigError(f"{part} must return one tensor, got {what}; cut the network where it passes on only one")
    return output
