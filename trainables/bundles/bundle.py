"""Bundles: a folder with a trained model and everything needed to use it, without Ray and without its run."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from thaw.spaces import ConfigError
from thaw.spaces.words import counted
from thaw.trainables.bundles.classifier import Classifier, ClassifierFacts, build_classifier
from thaw.trainables.bundles.predict import Picture, Prediction, predict_files
from thaw.trainables.data.image_places import find_images
from thaw.trainables.device import default_device
from thaw.trainables.evaluation.label_sets import LabelRule
from thaw.trainables.networks.table import OWN

FORMAT = 2
"""Format of ``bundle.json``, increased whenever an older Thaw cannot read new bundles. 2: with ``model.grey``."""

FACTS, MODEL, CONFIG, CARD, ONNX = "bundle.json", "model.safetensors", "config.yaml", "MODEL_CARD.md", "model.onnx"
CHECKED = (MODEL, CONFIG, ONNX)
"""Files that are compared with their digests. The card is for people, who may edit it."""


@dataclass(frozen=True, eq=False)
class Bundle:
    """A trained model, ready to predict.

    Args:
        path: its folder.
        facts: the content of ``bundle.json``; see ``docs/architecture.md``.
        classes: names of the labels, in the order of all arrays.
        ids: names of the labels in the label file of the training data.
        model: description of the network.
        rule: turns its logits into label sets.
        classifier: the network, on `device`, for prediction only: its batch norm is folded. The weights as trained are
            in ``model.safetensors``.
    """

    path: Path
    facts: dict[str, Any]
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    model: ClassifierFacts
    rule: LabelRule
    classifier: Classifier
    device: torch.device

    def stream(self, pictures: Iterable[Picture], batch: int | None = None) -> Iterator[Prediction]:
        """Yield one prediction per picture, in order, as soon as it is ready; memory does not grow with their number.

        Args:
            pictures: as for :meth:`predict`, without folders.
            batch: images per forward pass; by default the fastest number. Another number may change the last bits of
                the probabilities.
        """
        return predict_files(self.classifier, self.model, self.rule, self.classes, list(pictures), self.device, batch)

    def predict(self, pictures: Picture | Iterable[Picture]) -> list[Prediction]:
        """One prediction per image, in order. For an image that cannot be used, ``rejected`` states the reason.

        Args:
            pictures: one or several of: an image file, its content as bytes, a folder (all images in it and its
                subfolders), a Pillow image, uint8 pixels (height, width[, 3 or 4]). An array with four dimensions is
                several images.

        Raises:
            ConfigError: a folder contains no image.

        ```python
        load_bundle("my-model").predict("holiday.jpg")[0].labels
        ```
        """
        return list(self.stream(each for picture in _as_list(pictures) for each in _in_folder(picture)))


def _as_list(pictures: Picture | Iterable[Picture]) -> Iterable[Picture]:
    """One or several pictures as several. A string is one path, not a sequence of letters; bytes are one file."""
    if isinstance(pictures, str | os.PathLike | bytes | Image.Image):
        return [pictures]
    if isinstance(pictures, np.ndarray):
        return [pictures] if pictures.ndim < 4 else list(pictures)
    return pictures if isinstance(pictures, Iterable) else [pictures]


def _in_folder(picture: Picture) -> Iterable[Picture]:
    """The images of a folder; anything else is one image."""
    if isinstance(picture, str | os.PathLike) and os.path.isdir(picture):
        return find_images([os.fspath(picture)]).values()
    return [picture]


def load_bundle(path: str | Path, device: str | None = None) -> Bundle:
    """Read a bundle and check that it is complete and undamaged.

    Args:
        path: the folder that ``thaw export`` or ``thaw train`` made.
        device: device to compute on, such as ``cpu``. Default: the GPU, if there is one.

    Raises:
        ConfigError: it is not a bundle, or a damaged one. Nothing in it is unpickled or run.
    """
    path = Path(path)
    facts = _read_facts(path)
    try:
        _check_files(path, facts["files"])
        model = ClassifierFacts.from_dict(facts["model"])
        _check_code(model.architecture, facts.get("code"))
        classes, ids = tuple(map(str, facts["classes"])), tuple(map(str, facts["ids"]))
        rule = LabelRule.from_dict(facts["rule"])
        _check_labels(len(classes), {"ids": len(ids), "model.classes": model.classes, "rule": len(rule.thresholds)})
        classifier = build_classifier(model, read_model(path / MODEL))
    except ConfigError as error:
        raise error.within(file=path / FACTS) from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(f"damaged: {error!r}; export the model again", file=path / FACTS) from None
    place = default_device() if device is None else torch.device(device)
    return Bundle(path, facts, classes, ids, model, rule, classifier.folded(model.image_size).to(place), place)


def _read_facts(path: Path) -> dict[str, Any]:
    file = path / FACTS
    if not file.is_file():
        raise ConfigError(f"not a bundle: it holds no {FACTS}; name a folder that `thaw export` made", file=path)
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(f"damaged: {error}; export the model again", file=file) from None
    version = facts.get("format") if isinstance(facts, dict) else None
    if type(version) is not int or version < 1:
        raise ConfigError(f"damaged: its format must be a number, got {version!r}; export the model again", file=file)
    if version > FORMAT:
        raise ConfigError(f"has format {version}, this Thaw reads up to {FORMAT}; install a newer Thaw", "format", file)
    return facts


def _check_files(path: Path, digests: Mapping[str, str]) -> None:
    """Check that every file exists and is the one that the bundle was made with."""
    for name in (MODEL, CONFIG):
        if name not in digests:
            raise ConfigError(f"lists no {name}; export the model again", "files")
    for name in CHECKED:
        file = path / name
        if name in digests and not file.is_file():
            raise ConfigError("this file of the bundle is missing; export the model again", file=file)
        if name not in digests and file.exists():
            raise ConfigError("does not belong to this bundle, which was made without it; remove it", file=file)
        if name in digests and file_digest(file) != digests[name]:
            raise ConfigError(
                "is not the file that this bundle was made with (its SHA-256 differs); it is damaged or belongs to "
                "another model: export again",
                file=file,
            )


def _check_code(architecture: str, code: Mapping[str, str] | None) -> None:
    """Check that a user-defined network is registered, and warn if its code differs from that of the bundle."""
    if code is None:
        return
    if architecture not in OWN:
        raise ConfigError(
            f"its network {architecture!r} comes from {code['file']}, which must be imported before the bundle is "
            f"loaded: thaw predict --import {code['file']}",
            "model.architecture",
        )
    current = OWN[architecture].code
    if current is not None and current.digest != code["digest"]:
        warnings.warn(
            f"the code of {architecture!r} is not the code that the bundle was made with (now {current.digest}, then "
            f"{code['digest']}); its predictions may differ",
            stacklevel=3,
        )


def _check_labels(classes: int, others: Mapping[str, int]) -> None:
    for key, number in others.items():
        if number != classes:
            raise ConfigError(
                f"must be for the {counted(classes, 'label')} in `classes`, got {number}; export again", key
            )


def read_model(file: Path) -> dict[str, Tensor]:
    """All weights of a bundle's network by name, from its ``model.safetensors``.

    Raises:
        ConfigError: it is damaged.
    """
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise ConfigError(f"holds no weights in safetensors format ({error}); export again", file=file) from None


def file_digest(file: Path) -> str:
    """SHA-256 in hexadecimal."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def write_model(folder: Path, state: Mapping[str, Tensor]) -> None:
    """Write all weights of a network for :func:`thaw.trainables.bundles.classifier.build_classifier`."""
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in state.items()}
    # Not by `save_file`, which makes a file that other users cannot read.
    (folder / MODEL).write_bytes(save(plain))


def seal(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write ``bundle.json``, with the digests of all other files, which must exist already."""
    digests = {file.name: file_digest(file) for file in sorted(folder.iterdir())}
    content = {"format": FORMAT, **facts, "files": digests}
    (folder / FACTS).write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
