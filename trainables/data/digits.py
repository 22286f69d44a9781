"""The built-in data set: pictures composed of real handwritten digits, made on the spot without a download."""

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
"""Side of a picture, pixels."""

DIGITS_PER_IMAGE = {3: 84, 2: 225, 1: 1095}
"""Digits in a picture → number of such pictures: 1,404 in all, 78 % with one label as in the data of Yue et al. (2019),
and 84 · 3 + 225 · 2 + 1095 uses each of the 1,797 digits once."""

SIDES = {1: (35, 53), 2: (28, 32), 3: (27, 31)}
"""Digits in a picture → smallest and largest side of a digit, pixels; two or three stand in quarters of the canvas."""

NOISE = 4.0
"""Standard deviation of the noise of each pixel, of 255."""

_NAME = "digits-1"


def write_digits(directory: Path) -> tuple[Path, Path]:
    """Writes the pictures, unless they are there already.

    Digits are the 1,797 of ``sklearn.datasets.load_digits`` (8 × 8, UCI, Alpaydin and Kaynak 1998), each used exactly
    once, in one ink on a ground that runs from one colour to another. The digits of a picture differ and are its
    labels. Always the same pictures; about 3 s.

    Args:
        directory: a folder that keeps them; made if need be.

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
            # Another process may have been first: a folder that holds something is not replaced.
            if not folder.exists():
                raise
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return folder / "images", folder / "labels.csv"


BUILTIN: dict[str, Callable[[Path], tuple[Path, Path]]] = {"digits": write_digits}
"""``data.builtin`` → function that writes the data set into a folder."""


def _write(folder: Path) -> None:
    random = np.random.default_rng(0)
    # Here, as every command that reads a data set would wait for scikit-learn.
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
    """Which digits share a picture, as numbers of digits: each in one group, the digits of a group different."""
    left = random.permutation(len(targets)).tolist()
    groups = []
    for count, images in DIGITS_PER_IMAGE.items():
        for _ in range(images):
            group: list[int] = []
            while len(group) < count:
                taken = {targets[i] for i in group}
                group.append(left.pop(next(place for place, i in enumerate(left) if targets[i] not in taken)))
            groups.append(group)
    assert not left
    return [groups[i] for i in random.permutation(len(groups))]


def _compose(digits: np.ndarray, random: np.random.Generator) -> Image.Image:
    """One picture of digits, float (digits, 8, 8) with values 0–16."""
    ink = np.zeros((CANVAS, CANVAS))
    low, high = SIDES[len(digits)]
    # A single digit stands anywhere, several each in a quarter of its own, so that none hides another.
    cell = CANVAS if len(digits) == 1 else CANVAS // 2
    quarters = random.permutation(4)
    for digit, quarter in zip(digits, quarters, strict=False):
        side = int(random.integers(low, min(high, cell) + 1))
        drawn = Image.fromarray((digit * (255 / 16)).astype(np.uint8)).resize((side, side), Image.Resampling.BICUBIC)
        top, left = random.integers(0, cell - side + 1, 2)
        if len(digits) > 1:
            top, left = top + cell * (quarter // 2), left + cell * (quarter % 2)
        ink[top : top + side, left : left + side] = np.asarray(drawn) / 255
    ground = _ground(random)
    # Dark grounds get light ink and light ones dark ink: always legible, in any colour.
    colour = random.uniform(190, 255, 3) if ground.mean() < 128 else random.uniform(0, 65, 3)
    picture = ground + ink[..., None] * (colour - ground) + random.normal(0, NOISE, (CANVAS, CANVAS, 3))
    return Image.fromarray(np.rint(picture.clip(0, 255)).astype(np.uint8))


def _ground(random: np.random.Generator) -> np.ndarray:
    """A slope between two colours, both dark or both light, in any direction: float (CANVAS, CANVAS, 3)."""
    base = 20 if random.random() < 0.5 else 155
    start, end = random.uniform(base, base + 80, (2, 3))
    angle = random.uniform(0, 2 * np.pi)
    place = np.linspace(-0.5, 0.5, CANVAS)
    along = 0.5 + (np.cos(angle) * place[None, :] + np.sin(angle) * place[:, None]) / np.sqrt(2)
    return start + along[..., None] * (end - start)
