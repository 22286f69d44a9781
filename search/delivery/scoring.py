"""Scoring of a finished model on the test split."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import torch

from thaw.search.delivery.assemble import Model
from thaw.search.delivery.winner import Winner
from thaw.spaces import measured
from thaw.spaces.json_values import storable
from thaw.trainables.bundles.predict import store_logits
from thaw.trainables.device import default_device
from thaw.trainables.evaluation.bootstrap import Estimate, bootstrap
from thaw.trainables.evaluation.metrics import average_precision, epoch_metrics
from thaw.trainables.evaluation.policies import PolicyFigures, policy_figures
from thaw.trainables.evaluation.trivial import trivial_metrics
from thaw.trainables.training.losses import probabilities


@dataclass(frozen=True)
class Score:
    """The results of one evaluation on the test split.

    Args:
        images: number of images.
        metrics: of the model with its label rule, each with a 95 % bootstrap interval over the images.
        as_searched: measured as in the search: without calibration, and with one threshold for all labels.
        trivial: predictors that never look at an image, measured like `as_searched`.
        average_precision: of each label; None if no image has it.
        policies: results of every policy of the label rule.
    """

    images: int
    metrics: dict[str, Estimate]
    as_searched: dict[str, float]
    trivial: dict[str, dict[str, float]]
    average_precision: list[float | None]
    policies: list[PolicyFigures]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which has no NaN: None replaces it."""
        return storable(asdict(self))


def score_test(winner: Winner, model: Model) -> Score | None:
    """Evaluate on the test split, which nothing has used before.

    Returns:
        The model's results; None if there is no test split.
    """
    prepared, context = winner.prepared, winner.prepared.context
    rows, labels = context.split.test, prepared.dataset.labels
    if not len(rows):
        return None
    logits = store_logits(model.classifier, prepared.images.pixels, rows, default_device())
    rule, threshold = model.rule, context.threshold
    targets, calibrated = labels[rows], model.rule.probabilities(logits)
    truth = torch.from_numpy(targets)
    names = measured(context.single_label, labels.shape[1])
    plain = probabilities(torch.from_numpy(logits), winner.best.config.loss)
    precisions = average_precision(plain, truth).tolist()
    return Score(
        images=len(targets),
        metrics=bootstrap(calibrated, rule.label_sets(calibrated), targets, names=names),
        as_searched=epoch_metrics(plain, truth, threshold, context.single_label),
        trivial=trivial_metrics(labels[context.split.train], targets, threshold, context.single_label),
        average_precision=[None if math.isnan(value) else value for value in precisions],
        policies=policy_figures(rule, logits, targets),
    )
