"""A bundle's network is the same in timm; one that timm lacks is refused with the reason."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from torch import Tensor, nn

from tests.bundles import SIDE, model_facts
from thaw.spaces import ConfigError
from thaw.trainables.bundles.classifier import ClassifierFacts, build_classifier
from thaw.trainables.bundles.timm_export import require_timm, timm_network
from thaw.trainables.data.views import render
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.table import ARCHITECTURES, FROM_TIMM

OTHERS = {"convnet", "vgg16", "mobilenet_v3_small", "mobilenet_v3_large"}
"""Networks that timm has not, or has with more layers before the last one."""

LARGER = {"resnet50", "efficientnet_lite1", "efficientnet_lite2", "vit_base", "dinov2_base", "dinov3_base"}
"""Larger networks of families whose smallest one is tested."""

QUICK = ("resnet18", "timm:test_vit")
"""Of the same names, and with a position embedding for other images."""

SIDES = {"dinov2_small": 56, "dinov2_base": 56, "siglip2_base": 224}


def weights_of(facts: ClassifierFacts) -> dict[str, Tensor]:
    torch.manual_seed(0)
    backbone = resolve(facts.architecture, "none", facts.image_size)
    layers = {**backbone.random_layers(), "head": backbone.head(facts.classes, facts.head_units, 0.2)}
    return nn.Sequential(OrderedDict(layers)).state_dict()


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in (*ARCHITECTURES, *FROM_TIMM, "timm:test_vit", "timm:regnety_002")
        if name not in OTHERS | LARGER
    ],
)
@torch.no_grad()
def test_timms_network_gives_the_same_logits(name: str) -> None:
    facts = model_facts(name, units=0, side=SIDES.get(name, SIDE))
    state = weights_of(facts)
    require_timm(facts)
    network = timm_network(facts, state)
    side = facts.image_size
    pixels = torch.randint(0, 256, (3, side, side, 3), dtype=torch.uint8)
    logits = network(render(pixels, None, facts.mean, facts.std))
    torch.testing.assert_close(logits, build_classifier(facts, state)(pixels), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "units", "reason"),
    [
        ("convnet", 0, "--format: timm loads only its own networks, and convnet is not one"),
        ("resnet18", 16, "--format: timm needs a head of one linear layer, this one has a hidden layer of 16 units"),
        ("timm:mobilenetv3_small_100", 0, "missing .first: conv_head.weight.*export a bundle instead"),
        pytest.param("vgg16", 0, "missing .first: pre_logits.fc1.weight", marks=pytest.mark.slow),
        pytest.param("mobilenet_v3_large", 0, "is not quite the mobilenet_v3_large", marks=pytest.mark.slow),
    ],
)
def test_networks_that_timm_lacks_are_refused_before_anything_is_trained(name: str, units: int, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        require_timm(model_facts(name, units=units))


def test_other_results_in_timm_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where a version of timm has another epsilon in its norms."""
    from thaw.trainables.bundles import timm_export

    facts = model_facts("timm:test_vit", units=0)
    build = timm_export.timm_build

    def other(*args: object, **options: object) -> nn.Module:
        network = build(*args, **options)  # type: ignore[arg-type]
        for module in network.modules():
            if isinstance(module, nn.LayerNorm):
                module.eps = 0.1
        return network

    monkeypatch.setattr(timm_export, "timm_build", other)
    with pytest.raises(ConfigError, match=r"gives other logits than timm:test_vit with the same weights"):
        timm_network(facts, weights_of(facts))
