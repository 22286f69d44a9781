"""From a trained network to a bundle: label rule, score on the test split, ONNX, card."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from thaw.search.delivery.assemble import assemble, check_same
from thaw.search.delivery.model_card import model_card
from thaw.search.delivery.outcome import print_outcome
from thaw.search.delivery.scoring import Score, score_test
from thaw.search.delivery.winner import LabelGoal, Winner, bundle_facts, card_facts
from thaw.trainables.bundles.bundle import CARD, CONFIG, ONNX, load_bundle, seal, write_model
from thaw.trainables.bundles.classifier import Classifier
from thaw.trainables.bundles.onnx_export import export_onnx, onnx_probabilities
from thaw.trainables.bundles.predict import default_device, store_logits
from thaw.trainables.data.whole_files import new_folder
from thaw.trainables.evaluation.label_sets import LabelRule, fit_label_rule
from thaw.trainables.networks.freezing import whole_state

ONNX_IMAGES = 64
"""Images on which an ONNX file is compared with PyTorch."""


def deliver(to: Path, winner: Winner, goal: LabelGoal, onnx: bool, console: Console) -> dict[str, Any]:
    """Make the bundle `to`, and return the content of its ``bundle.json``.

    Raises:
        ConfigError: `to` exists, or the network does not give what the trial gave; nothing was written.
    """
    prepared, best = winner.prepared, winner.best
    weights = prepared.context.weights
    state = whole_state(best.config, best.state, weights)
    classifier = assemble(prepared, best, state)
    check_same(prepared, best, classifier)
    rule = _label_rule(winner, goal)
    if winner.refit is not None:
        state = whole_state(winner.refit.config, winner.refit.state, weights)
        classifier = assemble(prepared, best, state)
    with new_folder(to) as folder:
        write_model(folder, state)
        score = _score(winner, classifier, rule)
        facts = bundle_facts(winner, goal, rule)
        facts["test"] = None if score is None else {**score.to_dict(), "times_scored": winner.scored(score)}
        facts["onnx"] = _onnx(folder / ONNX, winner, classifier, rule) if onnx else None
        (folder / CONFIG).write_text(prepared.config.to_yaml(), encoding="utf-8")
        (folder / CARD).write_text(model_card(card_facts(facts, rule, score)), encoding="utf-8")
        seal(folder, facts)
        load_bundle(folder, "cpu")
    print_outcome(to, facts, console)
    return facts


def _label_rule(winner: Winner, goal: LabelGoal) -> LabelRule:
    best = winner.best
    logits, targets = winner.held_out or (best.logits, winner.prepared.dataset.labels[best.rows])
    return fit_label_rule(
        logits,
        targets,
        goal.target,
        policy=goal.policy,  # type: ignore[arg-type]
        k=goal.k,
        floor=goal.floor,
        activation="softmax" if best.config.loss == "softmax" else "sigmoid",
    )


def _score(winner: Winner, classifier: Classifier, rule: LabelRule) -> Score | None:
    """The figures on the test split; None where there is none."""
    context, labels = winner.prepared.context, winner.prepared.dataset.labels
    train, test = context.split.train, context.split.test
    if not len(test):
        return None
    logits = store_logits(classifier, context.open_images().pixels, test, default_device())
    return score_test(rule, logits, labels[test], labels[train], winner.best.config.loss, context.threshold)


def _onnx(file: Path, winner: Winner, classifier: Classifier, rule: LabelRule) -> dict[str, Any]:
    """Write the ONNX file, and compare it with PyTorch on images of the data set."""
    context = winner.prepared.context
    pixels = context.open_images().pixels
    rows = np.concatenate([context.split.test, context.split.validation])[:ONNX_IMAGES]
    on_cpu = classifier.to("cpu")
    export_onnx(file, on_cpu, rule, winner.prepared.dataset.classes, context.images.size)
    expected = rule.probabilities(store_logits(on_cpu, pixels, rows, torch.device("cpu")))
    difference = float(np.abs(onnx_probabilities(file, pixels[rows]) - expected).max())
    return {"images": len(rows), "largest_difference": difference}
