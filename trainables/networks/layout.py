"""Memory layout of features: kernels are chosen by it and differ in the last bits, so each shape has one layout."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def channels_first(shape: Sequence[int]) -> bool:
    """Whether the features of one image are feature maps (C, H, W), whose memory format is channels_last.

    Images are square, so feature maps are square, too. Feature maps (H, W, C) and tokens (T, C) are contiguous.
    """
    return len(shape) == 3 and shape[1] == shape[2]


def laid_out(features: Tensor) -> Tensor:
    """The same features (N, …) in the layout for their shape; not copied if they already have it."""
    layout = torch.channels_last if channels_first(features.shape[1:]) else torch.contiguous_format
    return features.contiguous(memory_format=layout)
