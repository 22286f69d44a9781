"""Parameter groups of an optimiser: learning rates and weight decay."""

from __future__ import annotations

from typing import Any

import pytest

from thaw.spaces import TrialConfig
from thaw.trainables.networks.freezing import Network, build_network
from thaw.trainables.training.groups import decays, largest_norm, parameter_groups

SIDE = 64


def network_and(**fields: Any) -> tuple[TrialConfig, Network]:
    config = TrialConfig.model_validate({"architecture": "timm:test_vit", **fields})
    return config, build_network(config, 3, SIDE, "none")


def test_two_groups_by_default() -> None:
    config, network = network_and(backbone_lr_scale=0.1)
    head, backbone = parameter_groups(config, network, transformer=False)
    assert head["lr_scale"] == 1.0 and backbone["lr_scale"] == 0.1
    assert len(head["params"]) + len(backbone["params"]) == len(list(network.tail.parameters()))
    assert "weight_decay" not in head and "weight_decay" not in backbone


def test_each_block_has_a_smaller_learning_rate_than_the_next() -> None:
    config, network = network_and(layer_decay=0.5, backbone_lr_scale=0.2)
    head, *below = parameter_groups(config, network, transformer=False)
    scales = [group["lr_scale"] for group in below]
    assert head["lr_scale"] == 1.0 and scales == pytest.approx([0.2 * 0.5**k for k in range(len(below), 0, -1)])
    given = [id(p) for group in (head, *below) for p in group["params"]]
    assert len(given) == len(set(given)) == len(list(network.tail.parameters()))


@pytest.mark.parametrize(
    ("decay", "transformer", "some_stay"),
    [("auto", True, True), ("auto", False, False), ("matrices", False, True), ("all", True, False)],
)
def test_norms_biases_and_embeddings_do_not_decay(decay: str, transformer: bool, some_stay: bool) -> None:
    config, network = network_and(decay=decay)
    groups = parameter_groups(config, network, transformer)
    free = {id(p) for group in groups if group.get("weight_decay") == 0.0 for p in group["params"]}
    expected = {id(p) for name, p in network.tail.named_parameters() if not decays(name, p)}
    assert free == (expected if some_stay else set()) and expected
    names = [name for name, p in network.tail.named_parameters() if id(p) in expected]
    assert any("pos_embed" in name for name in names) and any(name.endswith("bias") for name in names)


def test_transformers_clip_by_default() -> None:
    assert largest_norm(TrialConfig(), transformer=True) == 1.0 and largest_norm(TrialConfig(), transformer=False) == 0
    assert largest_norm(TrialConfig(clip_norm=0.0), transformer=True) == 0
    assert largest_norm(TrialConfig(clip_norm=2.5), transformer=False) == 2.5
