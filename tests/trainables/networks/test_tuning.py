"""The trained weights of a thawed part: as requested, in blocks, and mergeable where they are added."""

from __future__ import annotations

from typing import get_args

import pytest
import torch
from torch import nn

from tests.trainables.networks.test_table import plausible_state
from thaw.spaces import TrialConfig
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.freezing import Network, build_network, whole_state
from thaw.trainables.networks.tuning import NEEDS, TUNED, blocks

NAME, SIDE = "timm:test_vit", 64


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    file = tmp_path_factory.mktemp("weights") / "vit.pth"
    torch.save(plausible_state(NAME, SIDE), file)
    return {NAME: str(file)}


def build(weights: dict[str, str], **fields: object) -> Network:
    torch.manual_seed(0)
    config = TrialConfig.model_validate({"architecture": NAME, **fields})
    return build_network(config, 3, SIDE, weights)


def step(network: Network) -> set[str]:
    """Names of the weights that a training step changes."""
    before = {name: value.clone() for name, value in network.tail.state_dict().items()}
    network.train()(torch.randn(4, 3, SIDE, SIDE)).square().sum().backward()
    torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.01).step()
    return {name for name, value in network.tail.state_dict().items() if not torch.equal(value, before[name])}


@pytest.mark.parametrize(
    ("tune", "words"), [("norm", ("",)), ("bias", ("bias",)), ("lora", (".down", ".up")), ("all", ("",))]
)
def test_only_what_is_tuned_changes(weights: dict[str, str], tune: str, words: tuple[str, ...]) -> None:
    network = build(weights, tune=tune, freeze_depth=2)
    changed = step(network)
    backbone = {name for name in changed if not name.startswith("head.")}
    assert backbone and all(any(word in name for word in words) for name in backbone), backbone
    norms = {
        f"{path}.{name}"
        for path, module in network.tail.named_modules()
        if isinstance(module, nn.LayerNorm)
        for name, _ in module.named_parameters()
    }
    assert (backbone == norms) == (tune == "norm")
    assert {name for name in changed if name.startswith("head.")} == {
        f"head.{name}" for name, _ in network.tail[-1].named_parameters()
    }
    assert all(p.requires_grad for p in network.backbone_parameters())


def test_low_rank_changes_begin_at_nothing_and_merge(weights: dict[str, str]) -> None:
    images = torch.randn(2, 3, SIDE, SIDE)
    plain, low_rank = build(weights, freeze_depth=2).eval(), build(weights, freeze_depth=2, tune="lora").eval()
    with torch.no_grad():
        low_rank.tail[-1].load_state_dict(plain.tail[-1].state_dict())
        assert torch.equal(low_rank(images), plain(images))
    step(low_rank)
    with torch.no_grad():
        expected = low_rank.eval()(images)
    assert low_rank.merged_state().keys() == plain.trained_state().keys()
    plain.load_trained_state(low_rank.merged_state())
    with torch.no_grad():
        assert torch.equal(plain(images), expected)
    config = TrialConfig(architecture=NAME, freeze_depth=2, tune="lora")
    whole = whole_state(config, low_rank.merged_state(), resolve(NAME, weights, SIDE))
    assert whole.keys() == build(weights).trained_state().keys()


def test_blocks_are_the_parts_in_order(weights: dict[str, str]) -> None:
    network = build(weights)
    found = blocks(network.tail[:-1])
    depth = len(resolve(NAME, "none", SIDE).architecture.build(SIDE).blocks)  # type: ignore[arg-type]
    assert len(found) == 1 + depth, "the stem, and each block; the last norm belongs to the last"
    ids = [id(p) for block in found for p in block]
    assert len(ids) == len(set(ids)) and set(ids) == {id(p) for p in network.backbone_parameters()}


def test_missing_parts_of_a_network_are_reported() -> None:
    convolutions = nn.Sequential(nn.Conv2d(3, 3, 1, bias=False), nn.ReLU())
    assert not any(needs(convolutions) for needs in NEEDS.values())
    assert NEEDS["bias"](nn.Conv2d(3, 3, 1)) and NEEDS["norm"](nn.BatchNorm2d(3)) and NEEDS["lora"](nn.Linear(2, 2))


def test_every_choice_of_tune_has_its_weights() -> None:
    assert set(TUNED) == set(get_args(TrialConfig.model_fields["tune"].annotation))
