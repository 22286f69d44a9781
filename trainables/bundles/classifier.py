"""The exported network: decoded images in, logits out, with its preprocessing included."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from thaw.spaces import ConfigError
from thaw.spaces.words import counted
from thaw.trainables.data.decoding import Square
from thaw.trainables.data.grey import Scales, scales_from
from thaw.trainables.data.views import render
from thaw.trainables.networks.architecture import RGB
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.folding import fold

BOUNDS = {"classes": (1, 1_000_000), "head_units": (0, 1_000_000), "image_size": (32, 1024)}
"""Valid ranges, which are checked before a network is built."""


@dataclass(frozen=True)
class ClassifierFacts:
    """Everything that is needed, besides its weights, to build a classifier and to prepare its inputs.

    Args:
        architecture: as in the search file.
        classes: number of labels.
        head_units: width of the hidden dense layer; 0 for none.
        image_size: side of the square images in pixels.
        resize: how images become squares, a key of ``thaw.trainables.data.decoding.RESIZE``.
        mean, std: of each channel, for pixels in [0, 1].
        grey: scales of grey images with more than 8 bits; None for models of Thaw 0.1.0, which scaled each image by
            itself.
        interpolation, crop_pct: as in :class:`~thaw.trainables.data.decoding.Square`. Default: those of Thaw 0.1.0.
    """

    architecture: str
    classes: int
    head_units: int
    image_size: int
    resize: str
    mean: RGB
    std: RGB
    grey: Scales | None
    interpolation: str = "bilinear"
    crop_pct: float = 1.0

    @property
    def square(self) -> Square:
        """How its images become squares."""
        return Square(self.image_size, self.resize, self.interpolation, self.crop_pct)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ClassifierFacts:
        """The facts that :meth:`to_dict` has written.

        Raises:
            ConfigError: a value is missing, unknown or invalid; the caller adds the file name.
        """
        try:
            mean, std = (tuple(float(value) for value in values[name]) for name in ("mean", "std"))
            grey = None if values.get("grey") is None else scales_from(values["grey"])
            facts = cls(**{**values, "mean": mean, "std": std, "grey": grey})
            facts.square  # noqa: B018 - checks its parts
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise ConfigError(f"does not describe a model ({error!r}); export it again", "model") from None
        for name, (low, high) in BOUNDS.items():
            number = getattr(facts, name)
            if type(number) is not int or not low <= number <= high:
                raise ConfigError(f"must be a whole number from {low} to {high}, got {number!r:.40}", f"model.{name}")
        if len(mean) != 3 or not all(map(math.isfinite, mean)):
            raise ConfigError(f"does not describe a model, got {values!r:.200}; export it again", "model")
        if len(std) != 3 or not all(0 < value < math.inf for value in std):
            raise ConfigError(f"must be three numbers > 0, got {std}; export the model again", "model.std")
        return facts


class Classifier(nn.Sequential):
    """The layers of a trained network, always in evaluation mode.

    Its weights are named ``stage1.…`` to ``stage5.…``, ``pool.…`` and ``head.…``, whatever was frozen in training.
    """

    def __init__(self, layers: Mapping[str, nn.Module], mean: RGB, std: RGB) -> None:
        super().__init__(OrderedDict(layers))
        self.mean, self.std = mean, std
        self.requires_grad_(False)
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits, float32 (N, L), for decoded images, uint8 RGB (N, S, S, 3)."""
        return super().forward(render(pixels, None, self.mean, self.std))

    def folded(self, image_size: int) -> Classifier:
        """The same with fewer passes over the features, see :func:`fold`; for prediction only: its weights differ."""
        return Classifier(fold(dict(self.named_children()), image_size), self.mean, self.std)


def build_classifier(facts: ClassifierFacts, state: Mapping[str, Tensor]) -> Classifier:
    """A classifier whose weights are the tensors of `state` themselves.

    Args:
        facts: what to build.
        state: all weights, as :func:`thaw.trainables.networks.freezing.whole_state` gives them.

    Raises:
        ConfigError: the architecture is unknown, or the weights are not those of such a network.
    """
    classifier = empty_classifier(facts)
    try:
        classifier.load_state_dict(state, assign=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        kind = f"{facts.architecture} with {counted(facts.classes, 'label')} at {facts.image_size} pixels"
        raise ConfigError(f"the weights are not those of {kind}: {reason}") from None
    return classifier.requires_grad_(False).to(memory_format=torch.channels_last)


def model_size(facts: ClassifierFacts) -> int:
    """Size of the weights in bytes; nothing is loaded."""
    state = empty_classifier(facts).state_dict()
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


def empty_classifier(facts: ClassifierFacts) -> Classifier:
    """A classifier that waits for its state dict; most of it is on the device ``meta``."""
    backbone = resolve(facts.architecture, "none", facts.image_size)
    with torch.device("meta"):
        head = backbone.head(facts.classes, facts.head_units, 0.0)
    return Classifier({**backbone.empty_layers(), "head": head}, facts.mean, facts.std)
