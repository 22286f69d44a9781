"""Views: reproducible random transforms, geometry checked by hand, and rendering independent of the batch."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from thaw.trainables.data.affine import _splitmix64, affine_matrices
from thaw.trainables.data.augment import AUGMENTS, Augment
from thaw.trainables.data.views import render, view_parameters

PLAIN: dict[str, Any] = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}  # keeps the scale of 0 to 255
PAPER = AUGMENTS["paper"]


def photos(images: int, side: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (images, side, side, 3), dtype=torch.uint8, generator=generator)


def matrix(
    rotate: float = 0.0, shear: float = 0.0, shift_x: float = 0.0, shift_y: float = 0.0, flip: bool = False
) -> torch.Tensor:
    """The matrix of one image with given transforms."""
    values = (np.array([value]) for value in (rotate, shear, shift_x, shift_y, flip))
    return torch.from_numpy(affine_matrices(*values))


def assert_shows(rendered: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(rendered.contiguous(), expected.float().contiguous(), atol=2e-3, rtol=0)


# Draws


def test_the_generator_gives_its_published_sequence() -> None:
    # The first five numbers for seed 1234567, as listed for implementations of SplitMix64 to check themselves by.
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert _splitmix64(1234567, np.arange(5, dtype=np.uint64)).tolist() == published
    assert _splitmix64(1234567, np.array([3], dtype=np.uint64)).tolist() == published[3:4]


def test_an_image_has_the_same_matrix_in_every_batch() -> None:
    rows = np.random.default_rng(0).permutation(500)
    together = view_parameters(PAPER, seed=7, view=3, rows=rows)
    for size in (1, 3, 32, 77):
        apart = [view_parameters(PAPER, 7, 3, rows[start : start + size]) for start in range(0, 500, size)]
        assert torch.equal(torch.cat(apart), together)
    assert torch.equal(view_parameters(PAPER, 7, 3, torch.arange(500))[rows], together)


def test_seeds_views_and_images_differ() -> None:
    rows = np.arange(100)
    recipes = [(0, 0), (0, 1), (1, 0), (1, 1)]
    matrices = torch.cat([view_parameters(PAPER, seed, view, rows) for seed, view in recipes])
    assert len(matrices.flatten(1).unique(dim=0)) == 400


def test_draws_are_uniform_within_their_ranges_and_independent() -> None:
    images = 20_000
    rows = np.arange(images)
    # Each change alone can be read back from the matrix.
    rotation = view_parameters(Augment(rotate=40), 0, 0, rows)
    degrees = torch.atan2(rotation[:, 1, 0], rotation[:, 0, 0]) * 180 / math.pi
    shear = view_parameters(Augment(shear=11.5), 0, 0, rows)
    skew = -torch.asin(shear[:, 1, 0]) * 180 / math.pi
    shift = view_parameters(Augment(shift=0.1), 0, 0, rows)[:, :, 2] / -2
    flip = view_parameters(Augment(flip=0.5), 0, 0, rows)[:, 0, 0] < 0
    draws = [degrees / 40, skew / 11.5, shift[:, 0] / 0.1, shift[:, 1] / 0.1]
    for draw in draws:
        assert -1 - 1e-5 <= draw.min() < -0.99 and 0.99 < draw.max() <= 1 + 1e-5
        # A uniform number from -1 to 1 has mean 0 and variance 1/3; four standard errors.
        assert abs(draw.mean().item()) < 4 * math.sqrt(1 / 3 / images)
        assert draw.var().item() == pytest.approx(1 / 3, abs=4 * math.sqrt(4 / 45 / images))
    assert flip.float().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(images))
    correlations = torch.corrcoef(torch.stack([*draws, flip.float()])) - torch.eye(5)
    assert correlations.abs().max() < 4 / math.sqrt(images)
    # Neighbouring images, and the same image in the next view, are uncorrelated.
    following = view_parameters(Augment(shift=0.1), 0, 1, rows)[:, 0, 2]
    first = shift[:, 0]
    for a, b in [(first[:-1], first[1:]), (first, following)]:
        assert abs(torch.corrcoef(torch.stack([a, b]))[0, 1].item()) < 4 / math.sqrt(images)


def test_augmentations() -> None:
    identity = torch.eye(2, 3).expand(9, 2, 3)
    assert AUGMENTS["none"].is_identity and not PAPER.is_identity
    torch.testing.assert_close(view_parameters(AUGMENTS["none"], 0, 0, np.arange(9)), identity)
    always = view_parameters(Augment(flip=1.0), 0, 0, np.arange(1000))
    assert bool((always[:, 0, 0] == -1).all())


@pytest.mark.parametrize(
    "wrong", [{"rotate": -1}, {"rotate": 181}, {"shear": 90}, {"shift": 1.1}, {"flip": 2}, {"flip": math.nan}]
)
def test_values_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        Augment(**wrong)


# Geometry


@pytest.mark.parametrize("side", [32, 45])
def test_flip_and_right_angles(side: int) -> None:
    pixels = photos(1, side)
    clean = render(pixels, None, **PLAIN)
    assert_shows(render(pixels, matrix(flip=True), **PLAIN), clean.flip(3))
    for quarter_turns in (1, 2, 3):
        assert_shows(render(pixels, matrix(rotate=90 * quarter_turns), **PLAIN), clean.rot90(quarter_turns, (2, 3)))
    assert_shows(render(pixels, matrix(rotate=90, flip=True), **PLAIN), clean.rot90(1, (2, 3)).flip(3))


def test_shift_moves_a_bright_dot_by_its_share_of_the_side() -> None:
    pixels = torch.zeros(1, 40, 40, 3, dtype=torch.uint8)
    pixels[0, 20, 15] = 255
    moved = render(pixels, matrix(shift_x=0.1, shift_y=-0.25), **PLAIN)
    expected = torch.zeros(1, 3, 40, 40)
    expected[0, :, 20 - 10, 15 + 4] = 255  # 4 pixels to the right, 10 up
    assert_shows(moved, expected)
    # The shift is along the sides of the result, also when the image is turned.
    turned = render(pixels, matrix(rotate=90, shift_x=0.1, shift_y=-0.25), **PLAIN)
    row, column = 39 - 15, 20  # where rot90 puts row 20, column 15
    expected = torch.zeros(1, 3, 40, 40)
    expected[0, :, row - 10, column + 4] = 255
    assert_shows(turned, expected)


def test_shear_slants_vertically() -> None:
    # x' = x cos s, y' = y - x sin s with s = asin(0.6): the point 10 pixels right of the centre comes from the point
    # 8 pixels right of it and 6 above.
    side = 41
    pixels = torch.zeros(1, side, side, 3, dtype=torch.uint8)
    pixels[0, 20 - 6, 20 + 8] = 255
    slanted = render(pixels, matrix(shear=math.degrees(math.asin(0.6))), **PLAIN)
    assert slanted[0, 0, 20, 20 + 10].item() == pytest.approx(255, abs=2e-3)


def test_all_changes_together_are_the_product_of_the_single_ones() -> None:
    def square(m: torch.Tensor) -> torch.Tensor:
        return torch.cat([m[0], torch.tensor([[0.0, 0.0, 1.0]])])

    turn, slant = square(matrix(rotate=25)), square(matrix(shear=-10))
    move, mirror = square(matrix(shift_x=0.07, shift_y=-0.04)), square(matrix(flip=True))
    everything = matrix(rotate=25, shear=-10, shift_x=0.07, shift_y=-0.04, flip=True)
    torch.testing.assert_close(square(everything), turn @ move @ slant @ mirror)


def test_edges_are_continued_outwards() -> None:
    pixels = photos(1, 20)
    moved = render(pixels, matrix(shift_x=0.25), **PLAIN)
    clean = render(pixels, None, **PLAIN)
    assert_shows(moved, torch.cat([clean[..., :1].expand(-1, -1, -1, 5), clean[..., :15]], dim=3))


# Rendering


def test_clean_images_are_normalised_pixels() -> None:
    pixels = photos(3, 8)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    rendered = render(pixels, None, mean, std)
    np.testing.assert_allclose(
        rendered.numpy(), np.moveaxis((pixels.numpy() / 255 - mean) / std, 3, 1), rtol=1e-5, atol=1e-6
    )
    assert rendered.dtype == torch.float32
    assert rendered.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("side", "tolerance"), [(128, 0.0), (100, 1e-4)])
def test_the_identity_gives_the_clean_image(side: int, tolerance: float) -> None:
    """Exactly where the side is a power of 2; elsewhere, on noise, within the rounding of coordinates to float32."""
    pixels = photos(2, side)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    identity = torch.eye(2, 3).expand(2, 2, 3)
    rendered, clean = render(pixels, identity, mean, std), render(pixels, None, mean, std)
    torch.testing.assert_close(rendered, clean, atol=tolerance, rtol=0)
    assert rendered.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("augmented", [True, False])
def test_an_image_is_the_same_to_the_bit_in_every_batch(augmented: bool) -> None:
    pixels = photos(13, 50)
    matrices = view_parameters(PAPER, 0, 0, np.arange(13)) if augmented else None
    together = render(pixels, matrices, (0.5,) * 3, (0.2,) * 3)
    for size in (1, 2, 5):
        for start in range(0, 13, size):
            part = slice(start, start + size)
            alone = render(pixels[part], None if matrices is None else matrices[part], (0.5,) * 3, (0.2,) * 3)
            assert torch.equal(alone, together[part])


def test_autocast_leaves_the_pixels_alone() -> None:
    pixels, matrices = photos(4, 32), view_parameters(PAPER, 0, 0, np.arange(4))
    expected = render(pixels, matrices, **PLAIN)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(render(pixels, matrices, **PLAIN), expected)
