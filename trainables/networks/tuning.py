"""Which weights above the freeze depth are trained: all, some kinds, or low-rank updates of dense layers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, fx, nn
from torch.nn.utils import parametrize

RANK, SCALE = 8, 2.0
"""Rank of the low-rank updates, and the factor that they are multiplied by (alpha over rank)."""


class LowRank(nn.Module):
    """Adds a trained low-rank update, initially zero, to a matrix.

    Source: Hu et al., "LoRA: Low-rank adaptation of large language models", ICLR 2022, section 4.1.
    """

    def __init__(self, rows: int, columns: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.empty(RANK, columns))
        self.up = nn.Parameter(torch.zeros(rows, RANK))
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + SCALE * (self.up @ self.down)


def _norms(layers: nn.Module) -> list[nn.Parameter]:
    # By class name, as timm has many of its own norm layers.
    return [p for m in layers.modules() if "Norm" in type(m).__name__ for p in m.parameters(recurse=False)]


def _biases(layers: nn.Module) -> list[nn.Parameter]:
    return [p for name, p in layers.named_parameters() if name.endswith("bias")]


def dense_layers(layers: nn.Module) -> list[nn.Linear]:
    """The dense layers that low-rank updates apply to: attention projections and the layers between."""
    return [module for module in layers.modules() if isinstance(module, nn.Linear)]


def _low_rank(layers: nn.Module) -> list[nn.Parameter]:
    added = [(layer, LowRank(*layer.weight.shape)) for layer in dense_layers(layers)]
    for layer, update in added:
        parametrize.register_parametrization(layer, "weight", update)
    return [p for _, update in added for p in update.parameters()]


TUNED: dict[str, Callable[[nn.Module], list[nn.Parameter]]] = {
    "all": lambda layers: list(layers.parameters()),
    "norm": _norms,
    "bias": _biases,
    "lora": _low_rank,
}
"""``tune`` → the weights to train."""

NEEDS: dict[str, Callable[[nn.Module], bool]] = {
    "norm": lambda layers: bool(_norms(layers)),
    "bias": lambda layers: bool(_biases(layers)),
    "lora": lambda layers: bool(dense_layers(layers)),
}
"""``tune`` → whether a network has such weights; nothing is changed."""


def tune_only(layers: nn.Module, tune: str) -> None:
    """Make only some weights of the layers trainable; `tune` is a key of :data:`TUNED`."""
    chosen = TUNED[tune](layers)
    layers.requires_grad_(False)
    for weight in chosen:
        weight.requires_grad_(True)


def merged(layers: nn.Module) -> dict[str, Tensor]:
    """The state dict with low-rank updates merged into their matrices. Not copied if there are none."""
    state = layers.state_dict()
    for path, module in layers.named_modules():
        if parametrize.is_parametrized(module, "weight"):
            state = {name: value for name, value in state.items() if not name.startswith(f"{path}.parametrizations.")}
            state[f"{path}.weight"] = module.weight
    return state


def blocks(layers: Iterable[nn.Module]) -> list[list[nn.Parameter]]:
    """The trained weights by block, in forward order. A block is a part of a stage or of the pool.

    A part with vectors only, such as a norm, belongs to the block before it. A weight outside all parts, such as a
    position embedding, belongs to the first block of its stage.
    """
    found: list[list[nn.Parameter]] = []
    for layer in layers:
        mine: list[list[nn.Parameter]] = []
        for part in _parts(layer):
            weights = [p for p in part.parameters() if p.requires_grad]
            if weights and all(p.ndim < 2 for p in weights) and (mine or found):
                (mine or found)[-1].extend(weights)
            elif weights:
                mine.append(weights)
        inside = {id(p) for block in [*found, *mine] for p in block}
        bare = [p for p in layer.parameters() if p.requires_grad and id(p) not in inside]
        if bare and mine:
            mine[0] = bare + mine[0]
        elif bare:
            mine = [bare]
        found += mine
    return found


def _parts(layer: nn.Module) -> list[nn.Module]:
    if isinstance(layer, fx.GraphModule):
        return [layer.get_submodule(str(node.target)) for node in layer.graph.nodes if node.op == "call_module"]
    return list(layer.children())
