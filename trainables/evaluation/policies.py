"""Comparison of the policies for label sets, separately on single-label and multi-label images.

The paper's open question 4: a network with one sigmoid per label assigns several labels to images that have one. Which
policy does so less often, and what does it cost on the images that do have several?
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from thaw.trainables.evaluation.bootstrap import Estimate, bootstrap
from thaw.trainables.evaluation.calibration import calibrated, log_odds
from thaw.trainables.evaluation.label_sets import LabelRule

METRIC_NAMES = ("exact_match", "inclusion_accuracy", "f1_micro", "f1_macro")

GROUPS = {"all": "all images", "one": "images with one label", "several": "images with several labels"}
"""Images by their true number of labels. It is unknown at prediction time, so policies cannot use it."""


@dataclass(frozen=True)
class PolicyFigures:
    """Results of one policy on one group of images.

    Args:
        policy: ``0.5`` (that threshold for every label, on uncalibrated probabilities), a policy's name, or
            ``at_most K``.
        group: a key of `GROUPS`.
        images: number of images in the group.
        true_labels, given_labels: mean number of true and of predicted labels per image.
        none, more: share of images with no predicted label, and with more predicted labels than true ones.
        metrics: exact match, inclusion accuracy and F1, with intervals.
    """

    policy: str
    group: str
    images: int
    true_labels: float
    given_labels: float
    none: float
    more: float
    metrics: dict[str, Estimate]


def policy_figures(rule: LabelRule, logits: np.ndarray, targets: np.ndarray, seed: int = 0) -> list[PolicyFigures]:
    """Every policy with the thresholds of `rule`, on every group that has images.

    Args:
        rule: provides calibration and thresholds; its own policy is not used.
        logits: (N, L), of images that neither the model nor the rule was fitted on.
        targets: bool (N, L).
        seed: seed of the bootstrap.
    """
    count = targets.sum(axis=1)
    members = {"all": count >= 0, "one": count == 1, "several": count > 1}
    figures = []
    for name, probabilities, sets in _policies(rule, logits):
        for group, rows in members.items():
            if not rows.any():
                continue
            given = sets[rows].sum(axis=1)
            figures.append(
                PolicyFigures(
                    policy=name,
                    group=group,
                    images=int(rows.sum()),
                    true_labels=float(count[rows].mean()),
                    given_labels=float(given.mean()),
                    none=float((given == 0).mean()),
                    more=float((given > count[rows]).mean()),
                    metrics=bootstrap(probabilities[rows], sets[rows], targets[rows], seed=seed, names=METRIC_NAMES),
                )
            )
    return figures


def _policies(rule: LabelRule, logits: np.ndarray) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, probabilities and label sets of every policy."""
    identity = np.tile([1.0, 0.0], (len(rule.thresholds), 1))
    plain = calibrated(log_odds(logits, rule.activation), identity)
    yield "0.5", plain, plain >= 0.5
    probabilities = rule.probabilities(logits)
    for name, variant in (
        ("threshold", replace(rule, policy="threshold", k=None)),
        ("never_empty", replace(rule, policy="never_empty", k=None)),
        ("at_most 1", replace(rule, policy="at_most", k=1)),
        ("at_most 2", replace(rule, policy="at_most", k=2)),
        ("exactly_one", replace(rule, policy="exactly_one", k=None)),
    ):
        yield name, probabilities, variant.label_sets(probabilities)
