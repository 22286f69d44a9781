"""Helpers for tests on bundles of random networks."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from tests.trainables.networks.test_table import layers_of, whole_network
from thaw.trainables.bundles.bundle import CARD, CONFIG, seal, write_model
from thaw.trainables.bundles.classifier import ClassifierFacts
from thaw.trainables.evaluation.label_sets import LabelRule
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.freezing import Frozen, Network

SIDE = 64
CLASSES = ("red", "traffic light", "blue")


def random_network(name: str, labels: int = len(CLASSES), side: int = SIDE, units: int = 16) -> Network:
    """A network with plausible random weights, in evaluation mode."""
    layers = layers_of(name, whole_network(name, side), side)
    head = resolve(name, "none", side).head(labels, units, 0.2)
    return Network(Frozen({}), {**layers, "head": head}, "random").eval()


def model_facts(name: str, labels: int = len(CLASSES), side: int = SIDE, units: int = 16) -> ClassifierFacts:
    preprocessing = resolve(name, "none", side).preprocessing
    return ClassifierFacts(name, labels, units, side, "crop", preprocessing.mean, preprocessing.std, {})


def some_rule(labels: int = len(CLASSES), activation: str = "sigmoid") -> LabelRule:
    rng = np.random.default_rng(0)
    calibration = np.column_stack([rng.uniform(0.5, 1.5, labels), rng.normal(size=labels)])
    return LabelRule(calibration, rng.uniform(0.2, 0.8, labels), activation=activation)  # type: ignore[arg-type]


def write_bundle(
    folder: Path,
    name: str = "convnet",
    classes: Sequence[str] = CLASSES,
    seed: int = 1,
    ids: Sequence[str] | None = None,
) -> Network:
    """Write the bundle of a random network, which is returned."""
    torch.manual_seed(seed)
    network = random_network(name, len(classes))
    folder.mkdir()
    write_model(folder, network.trained_state())
    (folder / CONFIG).write_text("name: made-by-hand\n")
    (folder / CARD).write_text("# A model\n")
    facts = {
        "classes": list(classes),
        "ids": list(ids or map(str, range(1, len(classes) + 1))),
        "model": model_facts(name, len(classes)).to_dict(),
        "rule": some_rule(len(classes)).to_dict(),
    }
    seal(folder, facts)
    return network
