"""What a finished model scores on the test split, which nothing before has looked at."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

from thaw.trainables.evaluation.bootstrap import Estimate, bootstrap
from thaw.trainables.evaluation.label_sets import LabelRule
from thaw.trainables.evaluation.metrics import average_precision, epoch_metrics
from thaw.trainables.evaluation.policies import PolicyFigures, policy_figures
from thaw.trainables.evaluation.trivial import trivial_metrics
from thaw.trainables.training.losses import probabilities


@dataclass(frozen=True)
class Score:
    """The figures of one look at the test split.

    Args:
        images: how many there are.
        metrics: of the model with its label rule, each with a 95 % bootstrap interval over the images.
        as_searched: as the search measures: without calibration, and with one threshold for all labels.
        trivial: predictors that never look at an image, measured like `as_searched`.
        average_precision: of each label; None where no image has it.
        policies: what every policy of the label rule gives.
    """

    images: int
    metrics: dict[str, Estimate]
    as_searched: dict[str, float]
    trivial: dict[str, dict[str, float]]
    average_precision: list[float | None]
    policies: list[PolicyFigures]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, which has no NaN: None stands for it."""
        return _plain(asdict(self))


def score_test(
    rule: LabelRule, logits: np.ndarray, targets: np.ndarray, train_targets: np.ndarray, loss: str, threshold: float
) -> Score:
    """Score a model on the test split.

    Args:
        rule: makes probabilities and label sets.
        logits: float32, of the test images (N, L).
        targets: bool (N, L).
        train_targets: bool, of the training images; trivial predictors are made from them.
        loss: what the model was trained with.
        threshold: the search's.
    """
    chances = rule.probabilities(logits)
    truth = torch.from_numpy(np.ascontiguousarray(targets))
    plain = probabilities(torch.from_numpy(logits), loss)
    precisions = average_precision(plain, truth).tolist()
    return Score(
        images=len(targets),
        metrics=bootstrap(chances, rule.label_sets(chances), targets),
        as_searched=epoch_metrics(plain, truth, threshold),
        trivial=trivial_metrics(train_targets, targets, threshold),
        average_precision=[None if math.isnan(value) else value for value in precisions],
        policies=policy_figures(rule, logits, targets),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
