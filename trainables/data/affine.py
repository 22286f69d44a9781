"""Random affine transforms of augmentation, one per image and view. NumPy only, so that reports need no torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from thaw.trainables.data.augment import Augment
from thaw.trainables.seeding import derive_seed


def view_matrices(augment: Augment, seed: int, view: int, rows: ArrayLike) -> np.ndarray:
    """The transforms of some images in one view.

    A pure function of the seed, the view and the row: an image gets the same matrix in every batch, order and process,
    and there is no state.

    Args:
        augment: ranges of the transforms. Other ranges scale the same random numbers.
        seed: the search's seed.
        view: number of the view, from 0.
        rows: numbers of the images (N,), from 0.

    Returns:
        float32 (N, 2, 3), see :func:`affine_matrices`.
    """
    numbers = np.asarray(rows).astype(np.uint64)
    rotate, shear, shift_x, shift_y, flip = _uniform(derive_seed(seed, "view", view), numbers, count=5)
    return affine_matrices(
        rotate=augment.rotate * (2 * rotate - 1),
        shear=augment.shear * (2 * shear - 1),
        shift_x=augment.shift * (2 * shift_x - 1),
        shift_y=augment.shift * (2 * shift_y - 1),
        flip=flip < augment.flip,
    )


def affine_matrices(
    rotate: np.ndarray, shear: np.ndarray, shift_x: np.ndarray, shift_y: np.ndarray, flip: np.ndarray
) -> np.ndarray:
    """Matrices that rotate an image, then shift, shear and flip it, all about its centre.

    The order and the meaning of shear (x' = x cos s, y' = y - x sin s) are those of Keras's ``ImageDataGenerator``,
    which the paper used. Coordinates run from -1 to 1 across the image, x to the right and y downwards. A matrix takes
    a point of the result to the point of the image that gives it its colour.

    Args:
        rotate: degrees (N,), counter-clockwise.
        shear: degrees (N,).
        shift_x, shift_y: fractions of the side (N,), to the right and downwards.
        flip: bool (N,), whether to mirror left and right at the end.

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
    return np.ascontiguousarray(np.array(matrices, dtype=np.float32).transpose(2, 0, 1))


def _uniform(seed: int, rows: np.ndarray, count: int) -> np.ndarray:
    """Numbers in [0, 1), float64 (count, N). Row r gets those of `seed`'s sequence from ``count * r`` onwards."""
    bits = _splitmix64(seed, rows * np.uint64(count) + np.arange(count, dtype=np.uint64)[:, None])
    return (bits >> np.uint64(11)) * 2.0**-53


def _splitmix64(seed: int, index: np.ndarray) -> np.ndarray:
    """Numbers of the SplitMix64 generator, uint64: number n of `seed`'s sequence, without computing those before it.

    Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", as implemented in Java's library.
    """
    z = np.uint64(seed) + (index + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
