"""The same network in torchvision and in timm: two sets of names for the same tensors."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from thaw.trainables.networks.restoring import skeleton
from thaw.trainables.networks.table import ARCHITECTURES, architecture
from thaw.trainables.networks.timm_models import timm_build

TWINS = {
    "vgg16": "vgg16",
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "mobilenet_v2": "mobilenetv2_100",
    "mobilenet_v3_small": "mobilenetv3_small_100",
    "mobilenet_v3_large": "mobilenetv3_large_100",
    "efficientnet_b0": "efficientnet_b0",
    "convnext_tiny": "convnext_tiny",
}
"""torchvision's name → timm's."""

SIZE = 224
LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def twin_names(name: str, network: nn.Module, used: Sequence[str]) -> dict[str, str]:
    """Names of the same tensors in the other package → the network's own names; empty if it has no such network.

    Both packages define the same layers in the same order, so names are matched by position if kinds and shapes agree.

    Args:
        name: the architecture.
        network: on any device.
        used: names in its state dict, in order.
    """
    own, row = network.state_dict(), architecture(name)
    if name in TWINS:
        other = skeleton(lambda: timm_build(TWINS[name], SIZE))
    else:
        model = (row.timm or "").partition(".")[0]
        rows = [theirs for theirs, ours in TWINS.items() if ours == model]
        if not rows:
            return {}
        other = skeleton(lambda: ARCHITECTURES[rows[0]].build(SIZE))
    theirs = list(other.state_dict().items())[: len(used)]
    pairs = list(zip(theirs, used, strict=False))
    if len(theirs) < len(used) or any(
        _kind(there, tensor) != _kind(here, own[here]) for (there, tensor), here in pairs
    ):
        return {}
    return {there: here for (there, _), here in pairs}


def _kind(name: str, tensor: Tensor) -> tuple[str, list[int]]:
    leaf = name.rpartition(".")[2]
    return leaf if leaf in LEAVES else "", [length for length in tensor.shape if length != 1]
