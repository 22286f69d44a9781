"""A trained network as it is handed over: with its frozen weights, and checked against the trial."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from thaw.search.prepare.preflight import Prepared
from thaw.spaces import ConfigError
from thaw.trainables.bundles.classifier import Classifier, ClassifierFacts, build_classifier
from thaw.trainables.bundles.predict import default_device, store_logits
from thaw.trainables.networks.table import architecture
from thaw.trainables.training.checkpoint import BestCheckpoint

TOLERANCE = {"fp32": 0.01, "bf16": 0.5}
"""How far a logit of the assembled model may be from the trial's own, by the precision of the training. Models are
assembled in float32. Other weights than the trial's put logits off by more."""


def classifier_facts(prepared: Prepared, trained: BestCheckpoint) -> ClassifierFacts:
    """What the network of a training is."""
    images, row = prepared.context.images, architecture(trained.config.architecture)
    labels = len(prepared.dataset.classes)
    return ClassifierFacts(
        row.name,
        labels,
        trained.config.head_units,
        images.size,
        images.resize,
        row.mean,
        row.std,
        prepared.grey.scales,
    )


def assemble(prepared: Prepared, trained: BestCheckpoint, state: Mapping[str, Tensor]) -> Classifier:
    """The classifier, where it is to compute."""
    return build_classifier(classifier_facts(prepared, trained), state).to(default_device())


def check_same(prepared: Prepared, trained: BestCheckpoint, classifier: Classifier) -> None:
    """The classifier gives the validation images what the training gave them.

    Raises:
        ConfigError: it does not; only the frozen weights can be others.
    """
    store = prepared.context.open_images()
    logits = store_logits(classifier, store.pixels, trained.rows, default_device())
    off = float(np.abs(logits - trained.logits).max())
    precision = prepared.context.precision_of(trained.config.architecture)
    if not off <= TOLERANCE[precision]:
        raise ConfigError(
            f"the model put together must give the trial's own logits within {TOLERANCE[precision]:g}, some are off by "
            f"{off:.3g}; have the pretrained weights changed since? Give those that the run began with",
            "weights",
        )
