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
    """Layers that stay as they are: in eval mode whatever is asked, without gradients, with stored batch statistics."""

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
        prefix: the frozen layers, by names such as ``stage1``; none at depth 0.
        rest: the other layers, by name, in the order of the data; the last one is the head.
        weights_digest: names the weights that the layers start from.

    Attributes:
        prefix: the frozen part; as :func:`build_network` makes it with batch norm folded away (:func:`fold`).
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
        """A copy of all that training changes: parameters and buffers of the tail, by names such as ``stage5.…``."""
        return {name: tensor.detach().clone() for name, tensor in self.tail.state_dict().items()}

    def merged_state(self) -> dict[str, Tensor]:
        """As :meth:`trained_state`, under the names of the plain network: low-rank changes are added to its weights."""
        return {name: tensor.detach().clone() for name, tensor in merged(self.tail).items()}

    def load_trained_state(self, state: Mapping[str, Tensor]) -> None:
        """Take up what :meth:`trained_state` gave, of a network of the same configuration."""
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

    What is random depends on torch's seed alone, which the caller sets; the head comes first, so it is the same
    whatever the groups of layers need. Dropout layers within thawed groups (``convnet`` has some) take the trial's
    share.

    Args:
        config: architecture, freeze_depth, tune, head_units and dropout are used.
        classes: number of labels.
        image_size: side in pixels.
        weights: as in the search file.
        device: where its parts come to lie; values are drawn on the CPU, so that they are the same everywhere.
        precision: in which it will run; with bf16 its frozen layers need :func:`thaw.trainables.device.autocast`.

    Raises:
        ConfigError: layers without pretrained weights would be frozen, or the weights cannot be had.
    """
    name, depth = config.architecture, config.freeze_depth
    backbone = resolve(name, weights, image_size)
    if depth and not backbone.pretrained:
        rule = f"must be 0 for {name} without pretrained weights, which only training can make useful"
        raise ConfigError(f"{rule}, got {depth}", "freeze_depth")
    head = backbone.head(classes, config.head_units, config.dropout)
    if backbone.pretrained:
        # What is frozen never changes, so all trials of a process share it; what is trained is the trial's own.
        rest = copy.deepcopy(parted(backbone.layers, depth)[1])
        prefix = _frozen(backbone, device, ARITHMETIC[precision].bf16, depth) if depth else Frozen({})
    else:
        prefix, rest = Frozen({}), backbone.random_layers()
    digest = backbone.digest
    built = Network(prefix, {**rest, "head": head}, digest)
    tune_only(built.tail[:-1], config.tune)
    built.tail.to(device).to(memory_format=torch.channels_last)
    for module in built.tail[:-1].modules():
        if isinstance(module, nn.Dropout):
            module.p = config.dropout
    return built


def parted(layers: Mapping[str, nn.Module], depth: int) -> tuple[dict[str, nn.Module], dict[str, nn.Module]]:
    """The layers up to a freeze depth, and the rest. What joins the groups to the head goes with the last group."""
    items, frozen = list(layers.items()), depth + (depth == STAGES)
    return dict(items[:frozen]), dict(items[frozen:])


def whole_state(config: TrialConfig, trained: Mapping[str, Tensor], backbone: Backbone) -> dict[str, Tensor]:
    """All parameters and buffers of a trial's network: what training changed, and the frozen ones.

    Args:
        config: the trial's.
        trained: as :meth:`Network.trained_state` gives it.
        backbone: the trial's.

    Returns:
        Name such as ``stage1.…`` → tensor; not copied.
    """
    if not config.freeze_depth:
        return dict(trained)
    frozen, _ = parted(backbone.layers, config.freeze_depth)
    return {**nn.Sequential(OrderedDict(frozen)).state_dict(), **trained}


@lru_cache(maxsize=8)
def _folded(backbone: Backbone, device: torch.device, bf16: bool) -> dict[str, nn.Module]:
    """The layers as they run where they are frozen."""
    folded = fold(backbone.layers, backbone.image_size)
    if device == CPU and not bf16:
        return folded
    copies = {name: copy.deepcopy(layer).to(device) for name, layer in folded.items()}
    if bf16:
        for layer in copies.values():
            _cast_products(layer)
    return copies


def _cast_products(layer: nn.Module) -> None:
    """Cast to bfloat16 what autocast would cast at each call, as it keeps only the casts of what is trained.

    The numbers are the same. Classes derived from these two may look at their weights before a product, so they are
    left alone.
    """
    for module in layer.modules():
        if type(module) in (nn.Conv2d, nn.Linear):
            module.to(torch.bfloat16)


@lru_cache(maxsize=32)
def _frozen(backbone: Backbone, device: torch.device, bf16: bool, depth: int) -> Frozen:
    return Frozen(parted(_folded(backbone, device, bf16), depth)[0])


def run_prefix(prefix: nn.Module, images: Tensor) -> Tensor:
    """The frozen part applied in chunks of one size (:func:`chunk_size`), the last one filled up with its last image.

    Libraries choose their kernels by the size and layout of a batch, and kernels differ in the last bits. With both
    fixed, an image's activations do not depend on which images came with it (exactly so in float32 on a CPU).

    Args:
        prefix: in eval mode; without modules it is skipped and the images are returned.
        images: (N, 3, H, W), N ≥ 1.

    Returns:
        (N, …): what the last frozen stage gives, or (N, features) where all are frozen; as :func:`laid_out`.
    """
    if next(prefix.children(), None) is None:
        return images
    outputs = []
    size = chunk_size(images.device.type, images.shape[-1])
    for start in range(0, len(images), size):
        chunk = images[start : start + size]
        full = chunk
        if len(chunk) < size:
            full = torch.cat([chunk, chunk[-1:].expand(size - len(chunk), -1, -1, -1)])
        outputs.append(prefix(full.contiguous(memory_format=torch.channels_last))[: len(chunk)])
    return laid_out(torch.cat(outputs))
