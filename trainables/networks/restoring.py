"""Networks that load given weights, without a needless initialisation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from thaw.spaces import ConfigError


def skeleton(build: Callable[[], nn.Module]) -> nn.Module:
    """The network on the device ``meta``, in evaluation mode: shapes without values.

    A network that reads values while it is built, such as a list of dropout rates, is built with values first.
    """
    try:
        with torch.device("meta"):
            return build().eval().requires_grad_(False)
    except (RuntimeError, ConfigError):
        with torch.random.fork_rng(devices=[]):
            return build().eval().requires_grad_(False).to("meta")


def empty(build: Callable[[], nn.Module]) -> nn.Module:
    """A network that is ready to load its state dict.

    It is on ``meta`` if the state dict holds all of its tensors. Otherwise it is built with values, since the tensors
    outside the state dict, such as Swin's tables of relative positions, need them.
    """
    network = skeleton(build)
    saved = network.state_dict().keys()
    derived = [buffer for name, buffer in network.named_buffers() if name not in saved]
    derived += [value for module in network.modules() for value in vars(module).values() if isinstance(value, Tensor)]
    if not derived:
        return network
    with torch.random.fork_rng(devices=[]):
        return build().eval()


def restore(build: Callable[[], nn.Module], state: Mapping[str, Tensor]) -> tuple[nn.Module, list[str], list[str]]:
    """A network whose weights are the tensors of `state` themselves, not copies.

    Returns:
        The network, the names missing from `state`, and the names in `state` that the network does not have.

    Raises:
        RuntimeError: the shape of a tensor differs from the network's; raised by torch, with the names.
    """
    network = empty(build)
    missing, unexpected = network.load_state_dict(state, strict=False, assign=True)
    return network, missing, unexpected
