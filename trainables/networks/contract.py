"""The contract of a backbone, checked on the network itself."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from thaw.spaces import STAGES
from thaw.trainables.networks.backbone import Backbone
from thaw.trainables.networks.freezing import Frozen, Network, split_at_depth

IMAGES, LABELS, HALFWAY = 2, 3, 3


def check_contract(backbone: Backbone) -> None:
    """Check the contract of a backbone, with random weights.

    Whenever a network is cut, its stages are checked to give the output of the whole. This checks the rest: the
    state dict loads strictly and restores the backbone via ``meta``; at every freeze depth, prefix and tail give the
    output of the whole, to the bit; gradients reach every weight of the tail and none of the prefix.

    Raises:
        ConfigError: the network cannot be built or cut.
        ValueError: the contract is broken; says where.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = backbone.random_layers()
        images = torch.randn(IMAGES, 3, backbone.image_size, backbone.image_size)
        head = backbone.head(LABELS, 0, 0.0)
    whole = nn.Sequential(OrderedDict(layers)).eval().requires_grad_(False)
    restored = nn.Sequential(OrderedDict(backbone.empty_layers()))
    restored.load_state_dict({name: tensor.clone() for name, tensor in whole.state_dict().items()}, assign=True)
    features = [images]
    for layer in layers.values():
        features.append(layer(features[-1].clone(memory_format=torch.preserve_format)))
    # Both without gradients: with them, attention uses other kernels.
    expected = restored.eval().requires_grad_(False)(images)
    for depth in range(1, STAGES + 1):
        frozen, rest = split_at_depth(layers, depth)
        if not torch.equal(
            nn.Sequential(*rest.values())(features[len(frozen)].clone(memory_format=torch.preserve_format)), expected
        ):
            raise ValueError(f"at freeze depth {depth} prefix and tail give other features than the whole network")
    frozen, rest = split_at_depth(layers, HALFWAY)
    network = Network(Frozen(frozen), {**rest, "head": head}, "")
    network(images).square().sum().backward()
    if any(weight.grad is not None for weight in network.prefix.parameters()):
        raise ValueError("gradients reach the frozen part")
    if unreached := [name for name, weight in network.tail.named_parameters() if weight.grad is None]:
        raise ValueError(f"no gradient reaches {', '.join(unreached[:3])}")
