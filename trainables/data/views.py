"""Views: what augmentation makes of an image, drawn anew for each view and the same for all trials of a search."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from thaw.trainables.data.augment import Augment
from thaw.trainables.seeding import derive_seed


def view_parameters(augment: Augment, seed: int, view: int, rows: np.ndarray | Tensor) -> Tensor:
    """The changes of some images in one view.

    A pure function of the seed, the view and each row by itself: an image gets the same matrix in whatever batch, order
    or process it is asked for, and nothing has to be remembered from batch to batch.

    Args:
        augment: how far images may be changed. Other ranges stretch the same draws.
        seed: the search's seed.
        view: number of the view, from 0.
        rows: the images' numbers (N,), from 0.

    Returns:
        float32 (N, 2, 3), for :func:`render`.
    """
    numbers = np.asarray(rows).astype(np.uint64)
    rotate, shear, shift_x, shift_y, flip = _uniform(derive_seed(seed, "view", view), numbers, draws=5)
    return affine_matrices(
        rotate=augment.rotate * (2 * rotate - 1),
        shear=augment.shear * (2 * shear - 1),
        shift_x=augment.shift * (2 * shift_x - 1),
        shift_y=augment.shift * (2 * shift_y - 1),
        flip=flip < augment.flip,
    )


def affine_matrices(
    rotate: np.ndarray, shear: np.ndarray, shift_x: np.ndarray, shift_y: np.ndarray, flip: np.ndarray
) -> Tensor:
    """Matrices that rotate an image, then shift, shear and flip it, all about its centre.

    The order and the meaning of shear (x' = x cos s, y' = y - x sin s) are those of Keras's ``ImageDataGenerator``,
    which the paper used. Coordinates run from -1 to 1 over a side, x to the right and y downwards; a matrix leads from
    a place in the result back to the place in the image whose colour it takes.

    Args:
        rotate: degrees (N,), counter-clockwise.
        shear: degrees (N,).
        shift_x, shift_y: shares of the side (N,), to the right and downwards.
        flip: bool (N,), whether left and right are exchanged at the end.

    Returns:
        float32 (N, 2, 3).
    """
    angle, skew = np.radians(rotate), np.radians(shear)
    cos, sin = np.cos(angle), np.sin(angle)
    mirror = np.where(flip, -1.0, 1.0)
    # The product rotation · shift · shear · flip, multiplied out.
    matrices = [
        [mirror * np.cos(angle - skew), -sin, -2 * (cos * shift_x - sin * shift_y)],
        [mirror * np.sin(angle - skew), cos, -2 * (sin * shift_x + cos * shift_y)],
    ]
    return torch.from_numpy(np.array(matrices, dtype=np.float32)).permute(2, 0, 1).contiguous()


def render(pixels: Tensor, matrices: Tensor | None, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """The images as a network takes them, normalised and changed by one bilinear resampling, where `pixels` are.

    What lies outside the image takes the colour of its nearest edge. On a CPU an image comes out the same to the bit
    whichever others are rendered with it.

    Args:
        pixels: uint8 (N, S, S, 3).
        matrices: of :func:`view_parameters`, (N, 2, 3) on the same device; None leaves the images as they are.
        mean, std: of each channel, on the scale from 0 to 1.

    Returns:
        float32 (N, 3, S, S) in channels_last layout.
    """
    side = pixels.shape[1]
    # Normalising commutes with resampling. By rows of 3 * S numbers it takes a sixth of the time it takes by channels.
    scale = _scale(tuple(mean), tuple(std), side, pixels.device)
    rows = pixels.flatten(2).to(torch.float32).sub_(scale[0]).div_(scale[1])
    images = rows.unflatten(2, (side, 3)).permute(0, 3, 1, 2)
    if matrices is None:
        return images
    grid = _grid(matrices, side)
    images = F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return images.contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=16)
def _scale(mean: tuple[float, ...], std: tuple[float, ...], side: int, device: torch.device) -> Tensor:
    """Mean and deviation of a row of pixels (2, 3 * side); kept, because a copy to a GPU makes everybody wait."""
    # Not in place: torch's ONNX exporter would apply that to the constant twice.
    return torch.tensor([mean, std], dtype=torch.float32).mul(255).repeat(1, side).to(device)


def _grid(matrices: Tensor, side: int) -> Tensor:
    """Where each pixel's colour comes from, (N, S, S, 2) as (x, y).

    ``affine_grid`` gives the same by a matrix product, which takes twice as long and which autocast would round: in
    bfloat16 places are off by up to half a pixel.
    """
    centres = (2 * torch.arange(side, dtype=torch.float32, device=matrices.device) + 1) / side - 1
    x, y = centres.view(1, 1, side, 1), centres.view(1, side, 1, 1)
    of_x, of_y, offset = matrices.view(-1, 1, 1, 2, 3).unbind(-1)
    return of_x * x + of_y * y + offset


def _uniform(seed: int, rows: np.ndarray, draws: int) -> np.ndarray:
    """Numbers in [0, 1), float64 (draws, N). Row r has those of `seed`'s sequence from ``draws * r`` onwards."""
    bits = _splitmix64(seed, rows * np.uint64(draws) + np.arange(draws, dtype=np.uint64)[:, None])
    return (bits >> np.uint64(11)) * 2.0**-53


def _splitmix64(seed: int, index: np.ndarray) -> np.ndarray:
    """Numbers of the SplitMix64 generator, uint64: number n of `seed`'s sequence, without computing those before it.

    Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", as it stands in Java's library.
    """
    z = np.uint64(seed) + (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
