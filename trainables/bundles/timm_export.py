"""The network of a bundle as one of timm, with its own head: what ``timm.create_model("local-dir:…")`` loads."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from thaw.spaces import ConfigError
from thaw.trainables.bundles.classifier import ClassifierFacts, build_classifier, empty_classifier
from thaw.trainables.data.views import render
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.restoring import restore, skeleton
from thaw.trainables.networks.state_dicts import fit_state
from thaw.trainables.networks.table import architecture
from thaw.trainables.networks.timm_models import CROP_MODE, timm_build
from thaw.trainables.networks.twins import TWINS, twin_names

TOLERANCE = 1e-5
"""How far timm's logits may be from the bundle's, in units of the largest one where that is above 1."""

CHECKED_IMAGES = 4

KEY = "--format"


def require_timm(facts: ClassifierFacts) -> None:
    """Check whether timm has this network, before anything is trained.

    Raises:
        ConfigError: as :func:`timm_network`, but for the comparison of logits.
    """
    _renamed(facts, empty_classifier(facts).state_dict())


def timm_network(facts: ClassifierFacts, state: Mapping[str, Tensor]) -> nn.Module:
    """The network as timm builds it, compared with the bundle's.

    Args:
        facts: what the bundle's network is.
        state: all of its weights.

    Raises:
        ConfigError: timm has no such network, or another one of this name, or the head is more than one linear layer.
    """
    network, _, _ = restore(partial(_build, facts), _renamed(facts, state))
    network.requires_grad_(False).eval()
    _check_same(facts, state, network)
    return network


def _timm_name(facts: ClassifierFacts) -> str:
    """What timm calls the network, with the tag of its weights where it has one."""
    name = facts.architecture
    model = architecture(name).timm or TWINS.get(name)
    if model is None:
        raise ConfigError(f"timm loads only its own networks, and {name} is not one; export a bundle instead", KEY)
    if facts.head_units:
        raise ConfigError(
            f"timm needs a head of one linear layer, this one has a hidden layer of {facts.head_units} units; search "
            "with head_units: 0, or export a bundle instead",
            KEY,
        )
    return model


def _build(facts: ClassifierFacts) -> nn.Module:
    return timm_build(_timm_name(facts), facts.image_size, num_classes=facts.classes)


def _renamed(facts: ClassifierFacts, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of a bundle as timm calls them."""
    model, network = _timm_name(facts), skeleton(partial(_build, facts))
    names = resolve(facts.architecture, "none", facts.image_size).published_names()
    body = {names[one]: tensor for one, tensor in state.items() if one in names}
    head = {one.rpartition(".")[2]: tensor for one, tensor in state.items() if one.startswith("head.")}
    place = _classifier(network, head["weight"])
    used = [one for one in network.state_dict() if one.rpartition(".")[0] != place]
    fit = fit_state(body, network, used, twin_names(f"timm:{model}", network, used))
    if not place or not fit.complete or fit.unused:
        found = "the last layer is another" if fit.complete and not fit.unused else fit
        raise ConfigError(
            f"timm's {model} is not quite the {facts.architecture} of this bundle ({found}); export a bundle instead",
            KEY,
        )
    return {**fit.state, **{f"{place}.{one}": tensor for one, tensor in head.items()}}


def _classifier(network: Any, weight: Tensor) -> str:
    """The name of a network's last layer where it is linear and has such a weight; else empty."""
    last = network.get_classifier()
    fitting = isinstance(last, nn.Linear) and last.weight.shape == weight.shape
    return next((place for place, module in network.named_modules() if module is last and fitting), "")


@torch.no_grad()
def _check_same(facts: ClassifierFacts, state: Mapping[str, Tensor], network: nn.Module) -> None:
    side = facts.image_size
    noise = np.random.default_rng(0).integers(0, 256, (CHECKED_IMAGES, side, side, 3), dtype=np.uint8)
    pixels = torch.from_numpy(noise)
    expected = build_classifier(facts, state)(pixels)
    off = float((network(render(pixels, None, facts.mean, facts.std)) - expected).abs().max())
    if not off <= TOLERANCE * max(1.0, float(expected.abs().max())):
        raise ConfigError(
            f"timm's {_timm_name(facts)} gives other logits than {facts.architecture} with the same weights "
            f"({off:.1e} off); export a bundle instead",
            KEY,
        )


def timm_config(facts: ClassifierFacts, network: Any, classes: list[str]) -> dict[str, Any]:
    """``config.json``: how timm builds the network, and how it prepares images for it."""
    published = network.pretrained_cfg
    return {
        "architecture": published["architecture"],
        "num_classes": facts.classes,
        "num_features": network.num_features,
        "label_names": classes,
        **({"model_args": {"img_size": facts.image_size}} if _takes_size(network, facts.image_size) else {}),
        "pretrained_cfg": {
            "tag": "thaw",
            "custom_load": False,
            "input_size": [3, facts.image_size, facts.image_size],
            "fixed_input_size": bool(published.get("fixed_input_size")),
            "interpolation": facts.interpolation,
            "crop_pct": facts.crop_pct,
            "crop_mode": CROP_MODE[facts.resize],
            "mean": list(facts.mean),
            "std": list(facts.std),
            "num_classes": facts.classes,
            "pool_size": None,
            "first_conv": published.get("first_conv"),
            "classifier": published.get("classifier"),
        },
    }


def _takes_size(network: Any, image_size: int) -> bool:
    """Whether the network was built for images of one size, not that of the published weights."""
    published = network.pretrained_cfg
    return bool(published.get("fixed_input_size")) and published["input_size"][-1] != image_size
