"""Prediction for any number of image files: threads decode while the network runs, and memory use is constant."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from PIL import Image

from thaw.trainables.bundles.classifier import Classifier, ClassifierFacts
from thaw.trainables.data.decoding import Rejected, decode_image, decode_picture, file_identity
from thaw.trainables.data.supervision import supervised
from thaw.trainables.device import compute_in
from thaw.trainables.evaluation.label_sets import LabelRule
from thaw.trainables.networks.chunks import chunk_size

TIMEOUT = 60.0
"""Seconds allowed for reading one file."""

T = TypeVar("T")

Picture = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
"""Path or content of an image file, a Pillow image, or uint8 pixels (height, width[, 3 or 4])."""


@dataclass(frozen=True)
class Prediction:
    """A model's prediction for one image.

    Args:
        image: path of the image as it was given; ``image 0`` and so on for an image without a path.
        labels: the predicted labels, in the order of the classes; may be none.
        probabilities: label → calibrated probability; empty if the image cannot be used.
        rejected: why the image cannot be used, else empty.
    """

    image: str
    labels: tuple[str, ...]
    probabilities: dict[str, float]
    rejected: str = ""


def processors() -> int:
    """Number of CPUs that this process may use, which is also the number of decoding threads."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def predict_files(
    classifier: Classifier,
    model: ClassifierFacts,
    rule: LabelRule,
    classes: Sequence[str],
    pictures: Sequence[Picture],
    device: torch.device,
    batch: int | None = None,
) -> Iterator[Prediction]:
    """Yield one prediction per picture, in order, as soon as it is ready.

    Files are decoded as in training. A file that cannot be used gives a prediction that states the reason, and stops
    nothing. A file that hangs is given up after a minute, while the others continue.

    Args:
        classifier: the network, on `device`.
        model: how its images are decoded and resized.
        rule: turns its logits into label sets.
        classes: names of its labels.
        pictures: image files, or decoded images.
        device: device to compute on.
        batch: images per forward pass; None for the fastest number.
    """
    size = batch or chunk_size(device.type, model.image_size)
    for i, outcome in enumerate(_in_order(_logits(classifier, model, pictures, device, size))):
        name = str(pictures[i]) if isinstance(pictures[i], str | os.PathLike) else f"image {i}"
        if isinstance(outcome, Rejected):
            yield Prediction(name, (), {}, outcome.reason)
            continue
        probabilities = rule.probabilities(outcome[None])
        chosen = rule.label_sets(probabilities)[0]
        labels = tuple(name for name, yes in zip(classes, chosen, strict=True) if yes)
        yield Prediction(name, labels, dict(zip(classes, probabilities[0].tolist(), strict=True)))


def _logits(
    classifier: Classifier, model: ClassifierFacts, pictures: Sequence[Picture], device: torch.device, size: int
) -> Iterator[tuple[int, np.ndarray | Rejected]]:
    """(i, logits (L,) of picture i), nearly in order.

    Images join a batch as soon as they are decoded, and only their few logits wait for their turn, so that a slow file
    does not delay the others.
    """

    def decode(i: int) -> np.ndarray:
        picture = pictures[i]
        if isinstance(picture, bytes):
            return decode_image(picture, model.square, model.grey)
        if not isinstance(picture, str | os.PathLike):
            return decode_picture(picture, model.square)
        path = Path(picture)
        found = file_identity(path)
        if isinstance(found, str):
            raise Rejected(found)
        return decode_image(path, model.square, model.grey)

    numbers: list[int] = []
    images: list[np.ndarray] = []
    for i, outcome in supervised(decode, len(pictures), processors(), TIMEOUT):
        if isinstance(outcome, Rejected):
            yield i, outcome
            continue
        numbers.append(i)
        images.append(outcome)
        if len(images) == size:
            yield from zip(numbers, _run(classifier, images, device), strict=True)
            numbers, images = [], []
    if images:
        yield from zip(numbers, _run(classifier, images, device), strict=True)


@torch.no_grad()
def _run(classifier: Classifier, images: Sequence[np.ndarray], device: torch.device) -> np.ndarray:
    compute_in("fp32")
    pixels = torch.from_numpy(np.stack(images)).to(device)
    return classifier(pixels).float().cpu().numpy()


def _in_order(results: Iterable[tuple[int, T]]) -> Iterator[T]:
    """The results in the order of their numbers, which run from 0 without gaps."""
    waiting: dict[int, T] = {}
    turn = 0
    for i, result in results:
        waiting[i] = result
        while turn in waiting:
            yield waiting.pop(turn)
            turn += 1


def store_logits(classifier: Classifier, pixels: np.ndarray, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """Logits, float32 (len(rows), L), for decoded images.

    Args:
        classifier: the network, on `device`.
        pixels: uint8 RGB (images, S, S, 3), such as ``ImageStore.pixels``.
        rows: image numbers.
    """
    size = chunk_size(device.type, pixels.shape[1])
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    return np.concatenate([_run(classifier, pixels[chunk], device) for chunk in chunks])
