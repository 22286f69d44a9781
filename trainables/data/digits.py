"""The built-in data set: images composed of real handwritten digits, generated locally without a download."""

from __future__ import annotations

import csv
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

CANVAS = 64
"""Side of an image, pixels."""

DIGITS_PER_IMAGE = {3: 84, 2: 225, 1: 1095}
"""Digits in an image → number of such images: 1,404 in all, 78 % with one label as in the data of Yue et al. (2019).
84 · 3 + 225 · 2 + 1095 = 1,797, so each digit is used once."""

SIDES = {1: (35, 53), 2: (28, 32), 3: (27, 31)}
"""Digits in an image → smallest and largest side of a digit, pixels. Two or three digits are each in a quadrant."""

NOISE = 4.0
"""Standard deviation of the pixel noise, on the scale from 0 to 255."""

_NAME = "digits-1"


def write_digits(directory: Path) -> tuple[Path, Path]:
    """Writes the images, unless they exist already. Takes about 3 s; the result is always the same.

    The digits are the 1,797 of ``sklearn.datasets.load_digits`` (8 × 8, UCI, Alpaydin and Kaynak 1998), each used
    exactly once, in one colour on a background with a colour gradient. The digits of an image differ from each other
    and are its labels.

    Args:
        directory: parent folder of the data set; created if necessary.

    Returns:
        (image folder, label file), the latter with the columns ``filename,labels``.
    """
    folder = directory / _NAME
    if not folder.exists():
        directory.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f"{_NAME}.", suffix=".tmp", dir=directory))
        try:
            _write(temporary)
            os.replace(temporary, folder)
        except OSError:
            # Another process may have been first: a folder that is not empty is not replaced.
            if not folder.exists():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder / "images", folder / "labels.csv"


BUILTIN: dict[str, Callable[[Path], tuple[Path, Path]]] = {"digits": write_digits}
"""``data.builtin`` → function that writes the data set into a folder."""


def _write(folder: Path) -> None:
    random = np.random.default_rng(0)
    # Imported here: every command that reads a data set would wait for scikit-learn.
    from sklearn.datasets import load_digits

    digits = load_digits()
    (folder / "images").mkdir()
    groups = _groups(digits.target, random)
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("filename", "labels"))
        for number, group in enumerate(groups):
            name = f"{number:04d}.png"
            _compose(digits.images[group], random).save(folder / "images" / name)
            rows.writerow((name, " ".join(map(str, sorted(digits.target[group])))))


def _groups(targets: np.ndarray, random: np.random.Generator) -> list[list[int]]:
    """Groups of digits that share an image, by number: each digit is in one group, and those of a group differ."""
    left = random.permutation(len(targets)).tolist()
    groups = []
    for count, images in DIGITS_PER_IMAGE.items():
        for _ in range(images):
            group: list[int] = []
            while len(group) < count:
                taken = {targets[i] for i in group}
                group.append(left.pop(next(index for index, i in enumerate(left) if targets[i] not in taken)))
            groups.append(group)
    assert not left
    return [groups[i] for i in random.permutation(len(groups))]


def _compose(digits: np.ndarray, random: np.random.Generator) -> Image.Image:
    """An image of digits, float (digits, 8, 8) with values 0–16."""
    ink = np.zeros((CANVAS, CANVAS))
    low, high = SIDES[len(digits)]
    # A single digit may be anywhere; several are each in a different quadrant, so that none hides another.
    cell = CANVAS if len(digits) == 1 else CANVAS // 2
    quadrants = random.permutation(4)
    for digit, quadrant in zip(digits, quadrants, strict=False):
        side = int(random.integers(low, min(high, cell) + 1))
        drawn = Image.fromarray((digit * (255 / 16)).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
        top, left = random.integers(0, cell - side + 1, 2)
        if len(digits) > 1:
            top, left = top + cell * (quadrant // 2), left + cell * (quadrant % 2)
        ink[top : top + side, left : left + side] = np.asarray(drawn) / 255
    background = _background(random)
    # Light digits on dark backgrounds and dark digits on light ones are legible in any colour.
    colour = random.uniform(190, 255, 3) if background.mean() < 128 else random.uniform(0, 65, 3)
    image = background + ink[..., None] * (colour - background) + random.normal(0, NOISE, (CANVAS, CANVAS, 3))
    return Image.fromarray(np.rint(image.clip(0, 255)).astype(np.uint8))


def _background(random: np.random.Generator) -> np.ndarray:
    """A gradient between two colours, both dark or both light, in any direction: float (CANVAS, CANVAS, 3)."""
    base = 20 if random.random() < 0.5 else 155
    start, end = random.uniform(base, base + 80, (2, 3))
    angle = random.uniform(0, 2 * np.pi)
    position = np.linspace(-0.5, 0.5, CANVAS)
    along = 0.5 + (np.cos(angle) * position[None, :] + np.sin(angle) * position[:, None]) / np.sqrt(2)
    return start + along[..., None] * (end - start)
