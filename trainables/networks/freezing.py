"""A network for one trial: a frozen prefix and a tail that is trained."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache

import torch
from torch import Tensor, nn

from thaw.spaces import STAGES, ConfigError, TrialConfig
from thaw.trainables.device import ARITHMETIC
from thaw.trainables.networks.backbone import Backbone, resolve
from thaw.trainables.networks.chunks import chunk_size
from thaw.trainables.networks.folding import fold
from thaw.trainables.networks.layout import laid_out
from thaw.trainables.networks.tuning import merged, tune_only

CPU = torch.device("cpu")


class Frozen(nn.Sequential):
    """Layers that never change: always in eval mode, without gradients, with stored batch statistics."""

    def __init__(self, layers: Mapping[str, nn.Module]) -> None:
        super().__init__(OrderedDict(layers))
        self.requires_grad_(False)
        super().train(False)

    def train(self, mode: bool = True) -> Frozen:
        return self

    @torch.no_grad()
    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images)


class Network(nn.Module):
    """Images (N, 3, H, W), normalised, to logits (N, classes).

    Args:
        prefix: the frozen layers, by names such as ``stage1``; empty at depth 0.
        rest: the other layers by name, in forward order; the last one is the head.
        weights_digest: identifies the initial weights.

    Attributes:
        prefix: the frozen part; in networks of :func:`build_network` its batch norm is folded (:func:`fold`).
        tail: the rest, which is trained.
    """

    def __init__(self, prefix: Frozen, rest: Mapping[str, nn.Module], weights_digest: str) -> None:
        super().__init__()
        self.prefix = prefix
        self.tail = nn.Sequential(OrderedDict(rest)).requires_grad_(True).train()
        self.weights_digest = weights_digest

    def forward(self, images: Tensor) -> Tensor:
        return self.tail(run_prefix(self.prefix, images))

    def head_parameters(self) -> list[nn.Parameter]:
        return list(self.tail[-1].parameters())

    def backbone_parameters(self) -> list[nn.Parameter]:
        """Trained parameters of the thawed stages."""
        return [weight for weight in self.tail[:-1].parameters() if weight.requires_grad]

    def trained_state(self) -> dict[str, Tensor]:
        """A copy of everything that training changes: parameters and buffers of the tail, such as ``stage5.…``."""
        return {name: tensor.detach().clone() for name, tensor in self.tail.state_dict().items()}

    def merged_state(self) -> dict[str, Tensor]:
        """Like :meth:`trained_state`, with the names of the plain network: low-rank updates are merged into weights."""
        return {name: tensor.detach().clone() for name, tensor in merged(self.tail).items()}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Load the :meth:`trained_state` of a network of the same configuration."""
        self.tail.load_state_dict(state)


def build_network(
    config: TrialConfig,
    classes: int,
    image_size: int,
    weights: str | Mapping[str, str],
    device: torch.device = CPU,
    precision: str = "fp32",
) -> Network:
    """The network of one trial, on `device`, in training mode.

    Random values depend on torch's seed alone, which the caller sets. The head is drawn first, so it is the same
    whatever the stages draw. Dropout layers within thawed stages (``convnet`` has some) use the trial's dropout.

    Args:
        config: architecture, freeze_depth, tune, head_units and dropout are used.
        classes: number of labels.
        image_size: side in pixels.
        weights: as in the search file.
        device: device of the network; values are drawn on the CPU, so that they are the same on all devices.
        precision: precision to run in; with bf16 its frozen layers need :func:`thaw.trainables.device.autocast`.

    Raises:
        ConfigError: layers without pretrained weights would be frozen, or the weights are not available.
    """
    name, depth = config.architecture, config.freeze_depth
    backbone = resolve(name, weights, image_size)
    if depth and not backbone.pretrained:
        rule = f"must be 0 for {name} without pretrained weights, since random weights must be trained"
        raise ConfigError(f"{rule}, got {depth}", "freeze_depth")
    head = backbone.head(classes, config.head_units, config.dropout)
    if backbone.pretrained:
        # Frozen layers never change, so all trials of a process share them; trained layers are copied for each trial.
        rest = copy.deepcopy(split_at_depth(backbone.layers, depth)[1])
        prefix = _frozen(backbone, device, ARITHMETIC[precision].bf16, depth) if depth else Frozen({})
    else:
        prefix, rest = Frozen({}), backbone.random_layers()
    digest = backbone.digest
    network = Network(prefix, {**rest, "head": head}, digest)
    tune_only(network.tail[:-1], config.tune)
    network.tail.to(device).to(memory_format=torch.channels_last)
    for module in network.tail[:-1].modules():
        if isinstance(module, nn.Dropout):
            module.p = config.dropout
    return network


def split_at_depth(layers: Mapping[str, nn.Module], depth: int) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """The layers up to a freeze depth, and the rest. The pool is frozen with the last stage."""
    items, frozen = list(layers.items()), depth + (depth == STAGES)
    return dict(items[:frozen]), dict(items[frozen:])


def whole_state(config: TrialConfig, trained: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """All parameters and buffers of a trial's network, trained and frozen.

    Args:
        config: configuration of the trial.
        trained: the trial's :meth:`Network.trained_state`.
        backbone: backbone of the trial.

    Returns:
        Tensors by names such as ``stage1.…``; not copied.
    """
    if not config.freeze_depth:
        return dict(trained)
    frozen, _ = split_at_depth(backbone.layers, config.freeze_depth)
    return {**nn.Sequential(OrderedDict(frozen)).state_dict(), **trained}


@lru_cache(maxsize=8)
def _folded(backbone: Backbone, device: torch.device, bf16: bool) -> dict[str, nn.Module]:
    """The layers in the form in which they run if they are frozen."""
    folded = fold(backbone.layers, backbone.image_size)
    if device == CPU and not bf16:
        return folded
    copies = {name: copy.deepcopy(layer).to(device) for name, layer in folded.items()}
    if bf16:
        for layer in copies.values():
            _cast_products(layer)
    return copies


def _cast_products(layer: nn.Module) -> None:
    """Cast to bfloat16 what autocast would cast at each call, as it caches casts only of weights that are trained.

    The results are the same. Subclasses of these two classes may read their weights before a product, so they are not
    cast.
    """
    for module in layer.modules():
        if type(module) in (nn.Conv2d, nn.Linear):
            module.to(torch.bfloat16)


@lru_cache(maxsize=32)
def _frozen(backbone: Backbone, device: torch.device, bf16: bool, depth: int) -> Frozen:
    return Frozen(split_at_depth(_folded(backbone, device, bf16), depth)[0])


def run_prefix(prefix: nn.Module, images: Tensor, size: int | None = None) -> Tensor:
    """Apply the frozen part in chunks of one size, the last one padded with its last image.

    Libraries choose their kernels by the size and layout of a batch, and kernels differ in the last bits. With both
    fixed, an image's activations do not depend on the other images of its batch (exactly so in float32 on a CPU).

    Args:
        prefix: in eval mode; if it has no modules, the images are returned.
        images: (N, 3, H, W), N ≥ 1.
        size: images in a chunk, by default :func:`chunk_size`.

    Returns:
        (N, …): output of the last frozen stage, or (N, features) if all are frozen; in the layout of :func:`laid_out`.
    """
    if next(prefix.children(), None) is None:
        return images
    outputs = []
    size = size or chunk_size(images.device.type, images.shape[-1])
    for start in range(0, len(images), size):
        chunk = images[start : start + size]
        full = chunk
        if len(chunk) < size:
            full = torch.cat([chunk, chunk[-1:].expand(size - len(chunk), -1, -1, -1)])
        outputs.append(prefix(full.contiguous(memory_format=torch.channels_last))[: len(chunk)])
    return laid_out(torch.cat(outputs))
