"""Networks into which weights are put, with nothing initialised in vain."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


def skeleton(build: Callable[[], nn.Module]) -> nn.Module:
    """The network on the device ``meta``, in evaluation mode: shapes without values.

    One that reads values while it is built, such as a row of dropout rates, is built with all of them first.
    """
    try:
        with torch.device("meta"):
            return build().eval().requires_grad_(False)
    except RuntimeError:
        with torch.random.fork_rng(devices=[]):
            return build().eval().requires_grad_(False).to("meta")


def empty(build: Callable[[], nn.Module]) -> nn.Module:
    """A network that waits for its state dict.

    On ``meta`` where the state dict holds all of its tensors; otherwise, as with the tables of relative positions of
    Swin, it is built with all values, since those tensors have to be real.
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
    """A network whose weights are the tensors of `state` themselves.

    Returns:
        The network, the names that `state` lacks, and those that it has beyond the network's.

    Raises:
        RuntimeError: a tensor has another shape than the network's; from torch, with the names.
    """
    network = empty(build)
    missing, unexpected = network.load_state_dict(state, strict=False, assign=True)
    return network, missing, unexpected
