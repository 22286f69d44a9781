"""Backbones: a network with its initial weights, for images of one size, resolved once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import nn

from thaw.trainables.networks.architecture import Architecture, Layers, Preprocessing
from thaw.trainables.networks.cost import Cost, measure_cost
from thaw.trainables.networks.restoring import empty, restore, skeleton
from thaw.trainables.networks.table import architecture
from thaw.trainables.networks.weights import Loaded, chosen_weights, load_pretrained


class Backbone:
    """A network without its head. Weights are read on first use.

    Get one from :func:`resolve`, which creates each backbone only once per process.

    Args:
        name: the architecture, as in the search file.
        weights: initial weights: ``imagenet``, ``none`` or a path.
        image_size: side of the square images in pixels.

    Example:
        >>> backbone = resolve("mobilenet_v2", "none", 64)
        >>> backbone.cost.features, [stage.shape for stage in backbone.cost.stages][-1]
        (1280, (1280, 2, 2))
    """

    def __init__(self, name: str, weights: str, image_size: int) -> None:
        self.name, self.weights, self.image_size = name, weights, image_size
        self.architecture = architecture(name)

    @property
    def preprocessing(self) -> Preprocessing:
        return self.architecture.preprocessing

    @property
    def pretrained(self) -> bool:
        return self.weights != "none"

    @cached_property
    def cost(self) -> Cost:
        return measure_cost(self._cut(self._skeleton), self.name, self.image_size)

    @property
    def features(self) -> int:
        """Number of features that the head receives."""
        return self.cost.features

    @property
    def digest(self) -> str:
        """Identifies the weights, ``random`` if there are none; for a user-defined network also its code."""
        code = self.architecture.code
        return self._loaded.digest if code is None else f"{self._loaded.digest}, code {code.digest}"

    @property
    def note(self) -> str:
        """How many tensors of the weights file were matched and how many unused; empty if there is no file."""
        return self._loaded.note

    @cached_property
    def layers(self) -> Layers:
        """``stage1``, ``stage2`` … and ``pool`` with pretrained weights. They are shared: copy what you train."""
        assert self._loaded.state is not None
        network, _, _ = restore(self._build, self._loaded.state)
        network.to(memory_format=torch.channels_last).requires_grad_(False).eval()
        return self._cut(network)

    def random_layers(self) -> Layers:
        """Like :attr:`layers`, newly built with random weights from torch's generator."""
        return self._cut(self._build())

    def empty_layers(self) -> Layers:
        """Like :attr:`layers`, ready to load their state dict; many are on the device ``meta``."""
        return self._cut(empty(self._build))

    def published_names(self) -> dict[str, str]:
        """Name of a weight of the layers, such as ``stage1.0.weight`` → its name in the network as published.

        Without those that the network derives from others.
        """
        network = empty(self._build)
        layers = nn.Sequential(OrderedDict(self._cut(network))).state_dict(keep_vars=True)
        names = {id(tensor): name for name, tensor in network.state_dict(keep_vars=True).items()}
        return {name: names[id(tensor)] for name, tensor in layers.items() if id(tensor) in names}

    def check(self) -> None:
        """Check that the network can be cut for this image size and that its weights are available.

        Raises:
            ConfigError: one of these fails; says why.
        """
        assert self.cost and (self.layers if self.pretrained else self.digest)

    def head(self, classes: int, units: int, dropout: float) -> nn.Module:
        """A head with random weights from torch's generator; see :func:`thaw.trainables.networks.heads.build_head`."""
        return self.architecture.head(self.features, classes, units, dropout)

    @cached_property
    def _loaded(self) -> Loaded:
        return load_pretrained(self.name, {self.name: self.weights}, self.image_size)

    def _build(self) -> nn.Module:
        return self.architecture.build(self.image_size)

    @cached_property
    def _skeleton(self) -> nn.Module:
        return skeleton(self._build)

    def _cut(self, network: nn.Module) -> Layers:
        return self.architecture.cut(network, self._skeleton, self.image_size)


def resolve(name: str, weights: str | Mapping[str, str], image_size: int) -> Backbone:
    """The backbone for a search file's `weights`: the same object until a weights file, or what a name means, changes.

    Raises:
        ConfigError: there is no such network, or an entry of `weights` names none.
    """
    choice = chosen_weights(name, weights)
    return _resolve(architecture(name), choice, image_size, _stamp(choice))


@lru_cache(maxsize=32)
def _resolve(row: Architecture, choice: str, image_size: int, _: tuple[int, int]) -> Backbone:
    return Backbone(row.name, choice, image_size)


def _stamp(choice: str) -> tuple[int, int]:
    """A value that changes when a weights file does."""
    path = Path(choice)
    return (path.stat().st_mtime_ns, path.stat().st_size) if path.is_file() else (0, 0)
