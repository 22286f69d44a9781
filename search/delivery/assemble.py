"""A trained network, assembled for export: with its frozen weights and label rule, checked against its trial."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from thaw.search.delivery.winner import Winner, classifier_facts
from thaw.spaces import ConfigError
from thaw.trainables.bundles.classifier import Classifier, build_classifier
from thaw.trainables.bundles.predict import store_logits
from thaw.trainables.device import default_device
from thaw.trainables.evaluation.label_sets import LabelRule, fit_label_rule
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.freezing import whole_state

TOLERANCE = 0.25
"""The largest `difference` of the assembled model's logits from the trial's own, in units of their spread."""

LEAST_SPREAD = 0.02
"""The least spread, relative to the logits' size: bfloat16 rounds away about 0.004 of it, which does not make another
model even if a network predicts nearly the same for all images."""


@dataclass(frozen=True, eq=False)
class Model:
    """The parts of a winner's bundle.

    Args:
        state: all weights by name.
        classifier: the network with these weights, on the default device.
        rule: from its logits to label sets.
    """

    state: Mapping[str, Tensor]
    classifier: Classifier
    rule: LabelRule


def assemble(winner: Winner) -> Model:
    """Assemble a winner's network.

    Raises:
        ConfigError: its outputs differ from the trial's, or there is no such label rule.
    """
    prepared, best = winner.prepared, winner.best
    context, facts = prepared.context, classifier_facts(prepared, best.config)
    backbone = resolve(best.config.architecture, context.weights, context.images.size)
    state = whole_state(best.config, best.state, backbone)
    classifier = build_classifier(facts, state).to(default_device())
    check_same(winner, classifier)
    rule = _label_rule(winner)
    if winner.refit is not None:
        state = whole_state(winner.refit.config, winner.refit.state, backbone)
        classifier = build_classifier(facts, state).to(default_device())
    return Model(state, classifier, rule)


def check_same(winner: Winner, classifier: Classifier) -> None:
    """Check that the classifier's outputs on validation images are those of the training, up to :func:`difference`.

    Raises:
        ConfigError: they are not; only the frozen weights can differ.
    """
    trained = winner.best
    logits = store_logits(classifier, winner.prepared.images.pixels, trained.rows, default_device())
    off = difference(logits, trained.logits)
    if not off <= TOLERANCE:
        raise ConfigError(
            f"the assembled model must give the trial's own logits within {TOLERANCE:g} of their spread over the "
            f"images, they are {off:.3g} off; have the pretrained weights changed since? Give those that the run "
            "began with",
            "weights",
        )


def difference(logits: np.ndarray, trained: np.ndarray) -> float:
    """The root mean square of a classifier's difference from its training, in units of the logits' spread over images.

    Classifiers compute in float32. The spread is taken per label; differences between labels rather than images would
    hide wrong weights. Measured on small networks: at most 0.12 for the right weights after training in bfloat16, at
    least 0.8 for others.

    Args:
        logits, trained: logits of the same images, (N, L).
    """
    spread = max(np.sqrt(trained.var(axis=0).mean()), LEAST_SPREAD * _size(trained))
    off = _size(logits - trained)
    return off / float(spread) if spread else off


def _size(values: np.ndarray) -> float:
    """The root mean square."""
    return float(np.sqrt(np.mean(values**2)))


def _label_rule(winner: Winner) -> LabelRule:
    best, goal = winner.best, winner.goal
    softmax = best.config.loss == "softmax"
    usual = "exactly_one" if softmax or winner.prepared.context.single_label else "threshold"
    logits, targets = winner.held_out or (best.logits, winner.prepared.dataset.labels[best.rows])
    return fit_label_rule(
        logits,
        targets,
        winner.target,
        policy=goal.given_policy or usual,
        k=goal.k,
        floor=goal.floor,
        activation="softmax" if softmax else "sigmoid",
    )
