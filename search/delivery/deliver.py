"""The bundle of an assembled model: weights, ONNX, facts, card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from thaw.search.delivery.assemble import Model
from thaw.search.delivery.model_card import model_card
from thaw.search.delivery.scoring import Score
from thaw.search.delivery.single import only_trial
from thaw.search.delivery.winner import Winner, classifier_facts
from thaw.search.prepare.preflight import Prepared
from thaw.spaces.files import check_new_folder, new_folder
from thaw.trainables.bundles.bundle import CARD, CONFIG, ONNX, load_bundle, seal, write_model
from thaw.trainables.bundles.classifier import model_size
from thaw.trainables.bundles.onnx_export import export_onnx, onnx_probabilities
from thaw.trainables.bundles.predict import store_logits

ONNX_IMAGES = 64
"""Images on which an ONNX file is compared with PyTorch."""


def check_room(to: Path, prepared: Prepared, onnx: bool) -> None:
    """Check that a bundle can be written here, before anything is trained for it.

    Args:
        prepared: its search file holds one configuration.

    Raises:
        ConfigError: `to` exists, or its location is read-only or full.
    """
    weights = model_size(classifier_facts(prepared, only_trial(prepared.config)))
    check_new_folder(to, size=weights * (2 if onnx else 1))


def write_bundle(
    to: Path, winner: Winner, model: Model, score: Score | None, *, times_scored: int = 1, onnx: bool = False
) -> dict[str, Any]:
    """Write the bundle `to` completely or not at all.

    Args:
        to: a folder that does not exist.
        score: the score on the test split; None if there is none.
        times_scored: how many times the test split has been used, including this time.
        onnx: add an ONNX file.

    Returns:
        The content of ``bundle.json``.

    Raises:
        ConfigError: `to` exists.
    """
    with new_folder(to) as folder:
        write_model(folder, model.state)
        facts = bundle_facts(winner, model, score, times_scored)
        if onnx:
            facts["onnx"] = _onnx(folder / ONNX, winner, model)
        (folder / CONFIG).write_text(winner.prepared.config.to_yaml(), encoding="utf-8")
        (folder / CARD).write_text(model_card(facts), encoding="utf-8")
        seal(folder, facts)
        load_bundle(folder, "cpu")
    return facts


def bundle_facts(winner: Winner, model: Model, score: Score | None, times_scored: int = 1) -> dict[str, Any]:
    """What ``bundle.json`` says, without an ONNX file; arguments as for :func:`write_bundle`."""
    test = None if score is None else {**score.to_dict(), "times_scored": times_scored}
    return {**winner.facts(model.rule), "test": test, "onnx": None}


def _onnx(file: Path, winner: Winner, model: Model) -> dict[str, Any]:
    """Write the ONNX file, and compare it with PyTorch on images of the data set."""
    context, pixels = winner.prepared.context, winner.prepared.images.pixels
    rows = np.concatenate([context.split.test, context.split.validation])[:ONNX_IMAGES]
    on_cpu = model.classifier.to("cpu")
    export_onnx(file, on_cpu, model.rule, winner.prepared.dataset.classes, context.images.square)
    expected = model.rule.probabilities(store_logits(on_cpu, pixels, rows, torch.device("cpu")))
    difference = float(np.abs(onnx_probabilities(file, pixels[rows]) - expected).max())
    return {"images": len(rows), "largest_difference": difference}
