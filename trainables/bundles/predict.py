"""Prediction over any number of image files: threads decode while the network runs, and memory stays the same."""

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
"""Seconds for reading one file."""

T = TypeVar("T")

Picture = str | os.PathLike[str] | bytes | Image.Image | np.ndarray
"""An image file's path or content, an image of Pillow's, or uint8 pixels (height, width[, 3 or 4])."""


@dataclass(frozen=True)
class Prediction:
    """What a model says of one image.

    Args:
        image: the image's path as it was given; ``image 0`` and so on for what has no path.
        labels: the labels that the image is given, in the order of the classes; may be none.
        probabilities: label → calibrated probability; empty where the image cannot be used.
        rejected: why the image cannot be used, else empty.
    """

    image: str
    labels: tuple[str, ...]
    probabilities: dict[str, float]
    rejected: str = ""


def processors() -> int:
    """How many this process may use; as many threads decode."""
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
    """One prediction a picture, in their order, as they are done.

    Files are decoded as for training. One that cannot be used gives a prediction that says why and ends nothing; one
    that hangs is given up after a minute, and the others go on meanwhile.

    Args:
        classifier: on `device`.
        model: size and shape of its images.
        rule: from its logits to label sets.
        classes: names of its labels.
        pictures: image files, or what is decoded already.
        device: where to compute.
        batch: images at a time; None for as many as are fastest.
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

    Images wait for a batch as they come, and only their few logits for their turn, so that a slow file holds up nobody.
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
    """The results by their numbers, which run from 0 without gaps."""
    waiting: dict[int, T] = {}
    turn = 0
    for i, result in results:
        waiting[i] = result
        while turn in waiting:
            yield waiting.pop(turn)
            turn += 1


def store_logits(classifier: Classifier, pixels: np.ndarray, rows: np.ndarray, device: torch.device) -> np.ndarray:
    """Logits, float32 (len(rows), L), of decoded images.

    Args:
        classifier: on `device`.
        pixels: uint8 RGB (images, S, S, 3), such as ``ImageStore.pixels``.
        rows: which of them.
    """
    size = chunk_size(device.type, pixels.shape[1])
    chunks = [rows[start : start + size] for start in range(0, len(rows), size)]
    return np.concatenate([_run(classifier, pixels[chunk], device) for chunk in chunks])
