"""Views: augmented versions of the images, randomly transformed in each view and equal for all trials of a search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from thaw.trainables.data.affine import view_matrices
from thaw.trainables.data.augment import Augment


def view_parameters(augment: Augment, seed: int, view: int, rows: np.ndarray | Tensor) -> Tensor:
    """The transforms of some images in one view, see :func:`view_matrices`: float32 (N, 2, 3), for :func:`render`."""
    return torch.from_numpy(view_matrices(augment, seed, view, rows))


def render(pixels: Tensor, matrices: Tensor | None, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The input of a network: images normalised and transformed by one bilinear resampling, on the device of `pixels`.

    Points outside the image take the colour of the nearest edge. On a CPU the result for an image is bit-identical
    whatever other images are in the batch.

    Args:
        pixels: uint8 (N, S, S, 3).
        matrices: from :func:`view_parameters`, (N, 2, 3) on the same device; None for no transform.
        mean, std: mean and standard deviation of each channel, on the scale from 0 to 1.

    Returns:
        float32 (N, 3, S, S) in channels_last layout.
    """
    side = pixels.shape[1]
    # Normalising commutes with resampling. By rows of 3 * S numbers it takes a sixth of the time needed by channels.
    scale = _scale(tuple(mean), tuple(std), side, pixels.device)
    rows = pixels.flatten(2).to(torch.float32).sub_(scale[0]).div_(scale[1])
    images = rows.view(-1, side, side, 3).permute(0, 3, 1, 2)
    if matrices is None:
        return images
    grid = _grid(matrices, side)
    images = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return images.contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=16)
def _scale(mean: tuple[float, ...], std: tuple[float, ...], side: int, device: torch.device) -> Tensor:
    """Mean and standard deviation for a row of pixels, (2, 3 * side). Cached, as a copy to a GPU synchronises it."""
    # Not in place: torch's ONNX exporter would apply that to the constant twice.
    return torch.tensor([mean, std], dtype=torch.float32).mul(255).repeat(1, side).to(device)


def _grid(matrices: Tensor, side: int) -> Tensor:
    """Source coordinates (x, y) of each pixel, (N, S, S, 2).

    ``affine_grid`` computes the same by a matrix product, which takes twice as long and is rounded by autocast: in
    bfloat16, coordinates are off by up to half a pixel.
    """
    centres = (2 * torch.arange(side, dtype=torch.float32, device=matrices.device) + 1) / side - 1
    x, y = centres.view(1, 1, side, 1), centres.view(1, side, 1, 1)
    of_x, of_y, offset = matrices.view(-1, 1, 1, 2, 3).unbind(-1)
    return of_x * x + of_y * y + offset
