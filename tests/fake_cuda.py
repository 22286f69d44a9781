"""A GPU that does not exist: torch's fake tensors have shapes, types and devices, but no values.

Mixing devices raises, and so does whatever needs a value, except for the few calls that this module answers and counts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from thaw.trainables.activations import inputs, resident
from thaw.trainables.data import views
from thaw.trainables.networks import freezing
from thaw.trainables.networks.backbone import Backbone
from thaw.trainables.training.loop import Training

CUDA = torch.device("cuda", 0)
FREE = 8e9
"""Free memory of the device, in bytes."""


class Calls(TorchDispatchMode):
    """Counts a program's calls to the device.

    Attributes:
        launches: operations by name; views do not count.
        looks: how often the program waited for a value.
        sent: how often something was copied to the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.launches: Counter[str] = Counter()
        self.looks = self.sent = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = function(*args, **(kwargs or {}))
        results = result if isinstance(result, (list, tuple)) else [result]
        on_device = any(isinstance(one, Tensor) and one.device.type == "cuda" for one in results)
        if on_device and not function.is_view:
            self.launches[str(function.overloadpacket)] += 1
            given = [value for value in args if isinstance(value, Tensor)]
            self.sent += "copy" in str(function) and any(value.device.type == "cpu" for value in given)
        return result


def _moved(module: nn.Module, change: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
    """`Module._apply` without swapping tensors in place, which fake ones refuse."""
    for child in module.children() if recurse else ():
        _moved(child, change)
    for name, weight in module._parameters.items():
        if weight is not None:
            with torch.no_grad():
                module._parameters[name] = nn.Parameter(change(weight), weight.requires_grad)
    for name, buffer in module._buffers.items():
        if buffer is not None:
            module._buffers[name] = change(buffer)
    return module


@contextmanager
def fake_cuda(backbone: Backbone) -> Iterator[Calls]:
    """Within this context, `CUDA` is a device as far as shapes go."""
    folded = freezing.fold(backbone.layers, backbone.image_size)
    calls = Calls()

    def value(tensor: Tensor) -> float:
        calls.looks += 1
        return 0.5

    def values(tensor: Tensor) -> np.ndarray:
        calls.looks += tensor.device.type == "cuda"
        return np.zeros(tuple(tensor.shape), np.dtype(str(tensor.dtype).removeprefix("torch.")))

    patches = [
        mock.patch.object(nn.Module, "_apply", _moved),
        mock.patch.object(freezing, "fold", lambda layers, size: folded),
        mock.patch.object(Tensor, "pin_memory", lambda tensor: tensor),
        mock.patch.object(Tensor, "item", value),
        mock.patch.object(Tensor, "numpy", values),
        mock.patch.object(Tensor, "tolist", lambda tensor: values(tensor).tolist()),
        mock.patch.object(resident, "memory_left", lambda device: FREE),
        mock.patch.object(Tensor, "__deepcopy__", lambda tensor, memo: tensor.detach().clone()),
        mock.patch.object(torch.cuda, "get_device_name", lambda: "fake"),
        # No number is drawn from it.
        mock.patch.object(torch, "Generator", lambda device: torch.default_generator.clone_state()),
        # Otherwise autocast does nothing.
        mock.patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False),
        mock.patch.object(torch.cuda, "is_bf16_supported", lambda *_: True),
    ]
    caches = (freezing._folded, freezing._frozen, views._scale, inputs._platform, inputs._stored_view)
    try:
        with ExitStack() as stack:
            for patch in patches:
                stack.enter_context(patch)
            stack.enter_context(FakeTensorMode(allow_non_fake_inputs=True))
            stack.enter_context(calls)
            yield calls
    finally:
        resident.RESIDENT.clear()
        for cache in caches:
            cache.cache_clear()


@contextmanager
def gradients(training: Training) -> Iterator[None]:
    """Replaces `backward` and `grad`, which fake tensors of an absent device cannot run; gradients are zero."""

    def backward(loss: Tensor) -> None:
        assert isinstance(loss, FakeTensor) and loss.device == CUDA and loss.shape == ()
        for weight in training.trained:
            weight.grad = torch.zeros_like(weight)

    def grad(loss: Tensor, weights: Sequence[Tensor]) -> list[Tensor]:
        assert isinstance(loss, FakeTensor) and loss.device == CUDA and loss.shape == ()
        return [torch.zeros_like(weight) for weight in weights]

    with mock.patch.object(Tensor, "backward", backward), mock.patch.object(torch.autograd, "grad", grad):
        yield
