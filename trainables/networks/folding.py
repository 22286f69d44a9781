"""Batch norm folded into the convolutions before it, in layers that run and are never trained."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

TOLERANCE = 1e-3
"""How far the folded layers may be off on a trial image, as a share of the largest value. Rounding stays far below."""

BEHIND = ("drop", "act")
"""Attributes of timm's ``BatchNormAct2d`` that run after the norm, in their order."""


@torch.no_grad()
def fold(layers: Mapping[str, nn.Module], image_size: int) -> dict[str, nn.Module]:
    """Copies that are the same functions up to rounding, by fewer passes over the feature maps.

    In evaluation mode batch norm is one factor and one addend a channel, which the convolution before it takes up in
    its weights. MobileNetV2 runs 1.3 times as fast by it, ResNet50 a few per cent faster (docs/performance.md).
    Source: Jacob et al., "Quantization and training of neural networks for efficient integer-arithmetic-only
    inference", CVPR 2018, section 3.2.

    What feeds what is seen by letting an image through. A layer whose copy then gives something else, or nothing, stays
    itself: somebody else looks at what its convolutions give, or at its batch norm.

    Args:
        layers: on the CPU and in eval mode, by name, each fed by the one before, the first by images.
        image_size: side of the image that is let through, pixels.
    """
    features = torch.randn(1, 3, image_size, image_size, generator=torch.Generator().manual_seed(0))
    folded = {}
    for name, layer in layers.items():
        # Clones: some layers work in place.
        candidate, given = _fold_layer(copy.deepcopy(layer), features.clone()), layer(features.clone())
        folded[name] = candidate if candidate is not None and _gives(candidate, features, given) else layer
        features = given
    return folded


def _fold_layer(layer: nn.Module, features: Tensor) -> nn.Module | None:
    """The layer, changed; None if there is nothing to fold."""
    pairs = _pairs(layer, features)
    for convolution, norm in pairs:
        before, after = layer.get_submodule(convolution), layer.get_submodule(norm)
        assert isinstance(before, nn.Conv2d) and isinstance(after, nn.BatchNorm2d)
        layer.set_submodule(convolution, fuse_conv_bn_eval(before, after))
        layer.set_submodule(norm, nn.Sequential(*(getattr(after, part) for part in BEHIND if hasattr(after, part))))
    return layer if pairs else None


def _pairs(layer: nn.Module, features: Tensor) -> list[tuple[str, str]]:
    """Names of each convolution and of the batch norm that its output goes to."""
    convolutions: list[tuple[str, Tensor]] = []
    pairs: list[tuple[str, str]] = []
    handles = []
    for name, module in layer.named_modules():
        if isinstance(module, nn.Conv2d):
            note = partial(lambda name, _, __, output: convolutions.append((name, output)), name)
            handles.append(module.register_forward_hook(note))
        elif isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            meet = partial(lambda name, _, inputs: pairs.extend(_met(convolutions, inputs[0], name)), name)
            handles.append(module.register_forward_pre_hook(meet))
    layer(features)
    for handle in handles:
        handle.remove()
    return pairs


def _met(convolutions: Sequence[tuple[str, Tensor]], features: Tensor, norm: str) -> list[tuple[str, str]]:
    return [(name, norm) for name, output in convolutions if output is features]


def _gives(layer: nn.Module, features: Tensor, expected: Tensor) -> bool:
    try:
        found = layer(features.clone())
    except Exception:  # the network's own code, which may expect a batch norm where there is none any more
        return False
    return bool((found - expected).abs().max() <= TOLERANCE * expected.abs().max())
