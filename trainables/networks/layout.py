"""How features lie in memory: kernels are chosen by it and differ in the last bits, so each shape has one layout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def channels_first(shape: Sequence[int]) -> bool:
    """Whether features of one image are maps (C, H, W), which lie in memory as channels_last.

    Images are square, so maps are, too; maps (H, W, C) and tokens (T, C) lie as they are.
    """
    return len(shape) == 3 and shape[1] == shape[2]


def laid_out(features: Tensor) -> Tensor:
    """The same features (N, …) in the one layout of their shape; not copied where they have it already."""
    maps = channels_first(features.shape[1:])
    return features.contiguous(memory_format=torch.channels_last if maps else torch.contiguous_format)
