"""A trained configuration to be exported, and everything that its bundle records about it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thaw.search.prepare.preflight import Prepared
from thaw.search.prepare.provenance import provenance
from thaw.search.version import __version__
from thaw.spaces import TrialConfig
from thaw.trainables.bundles.classifier import ClassifierFacts
from thaw.trainables.evaluation.label_sets import LabelRule, check_policy, check_target
from thaw.trainables.networks.table import architecture
from thaw.trainables.networks.weights import chosen_weights
from thaw.trainables.training.checkpoint import BestCheckpoint


@dataclass(frozen=True)
class LabelGoal:
    """The goal of the label rule; see :func:`thaw.trainables.evaluation.label_sets.fit_label_rule`.

    Without a target it is the one that suits the search's metric; without a policy it is ``at_most`` if `k` is given,
    ``exactly_one`` if training images have one label each, else ``threshold``. It is checked here, before anything is
    trained for it.

    Raises:
        ConfigError: there is no such goal.
    """

    target: str | None = None
    policy: str | None = None
    k: int | None = None
    floor: float = 0.9

    def __post_init__(self) -> None:
        check_target(self.target or "f1_macro", self.floor)
        check_policy(self.given_policy or "threshold", self.k)

    @property
    def given_policy(self) -> str | None:
        """The policy that was asked for; None for the usual one."""
        return "at_most" if self.policy is None and self.k is not None else self.policy


DEFAULT_GOAL = LabelGoal()

TARGET_OF = {
    "f1_micro": "f1_micro",
    "exact_match": "f1_micro",
    "hamming_accuracy": "f1_micro",
    "inclusion_accuracy": "inclusion_accuracy",
}
"""Metric of a search → target of the thresholds; ``f1_macro`` for the others, which weight all labels equally or do not
use thresholds."""


@dataclass(frozen=True)
class Winner:
    """A trained configuration, and how it was chosen.

    Args:
        prepared: the data, and the search file with the one configuration.
        best: the trained network.
        goal: goal of the label rule.
        run: name of the run, or of the search file where there was no search.
        metrics: metrics at its best epoch, by column.
        source: where its weights come from: ``checkpoint``, ``trained_again`` or ``trained``.
        trial: its number; None without a search.
        status: the trial's status.
        trials: number of trials in the search.
        refit: the same configuration trained on training and validation images together, to be exported instead.
        confirmation: the content of ``confirm.json``, if the run was confirmed.
        held_out: logits (N, L) and targets (N, L) of a confirmation, each by a network that was not trained on the
            image; None uses those of `best` on the validation images, which also chose the epoch.
    """

    prepared: Prepared
    best: BestCheckpoint
    goal: LabelGoal
    run: str
    metrics: dict[str, float]
    source: str
    trial: int | None = None
    status: str = "completed"
    trials: int = 1
    refit: BestCheckpoint | None = None
    confirmation: dict[str, Any] | None = None
    held_out: tuple[np.ndarray, np.ndarray] | None = None

    @property
    def target(self) -> str:
        """The metric that the thresholds are chosen for."""
        return self.goal.target or TARGET_OF.get(self.prepared.context.metric.removeprefix("val_"), "f1_macro")

    def facts(self, rule: LabelRule) -> dict[str, Any]:
        """The content of ``bundle.json`` except ``test`` and ``onnx``: see ``docs/architecture.md``."""
        prepared, best, confirmed = self.prepared, self.best, self.held_out is not None
        return {
            "thaw": __version__,
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "run": self.run,
            "classes": list(prepared.dataset.classes),
            "ids": list(prepared.dataset.ids),
            "model": classifier_facts(prepared, best.config).to_dict(),
            "code": None if (code := architecture(best.config.architecture).code) is None else asdict(code),
            "rule": rule.to_dict(),
            "rule_fit": {
                "target": self.target,
                "floor": self.goal.floor if self.target == "precision" else None,
                "from": "out_of_fold" if confirmed else "validation",
                "images": len(self.held_out[0]) if self.held_out is not None else len(best.rows),
                "optimistic": not confirmed,
            },
            # Only the file's name: its location means nothing elsewhere.
            "weights": Path(chosen_weights(best.config.architecture, prepared.context.weights)).name,
            "trial": {
                "number": self.trial,
                "status": self.status,
                "epoch": best.epoch,
                "config": best.config.model_dump(),
                "weights_from": self.source,
                "refit": self.refit is not None,
            },
            "search": {"trials": self.trials, "metric": prepared.context.metric},
            "validation": {"images": len(best.rows), "metrics": self.metrics, "trivial": prepared.trivial},
            "confirmation": self.confirmation,
            "provenance": provenance(prepared),
        }


def classifier_facts(prepared: Prepared, config: TrialConfig) -> ClassifierFacts:
    """The description of a configuration's network."""
    images, preprocessing = prepared.context.images, architecture(config.architecture).preprocessing
    return ClassifierFacts(
        architecture=config.architecture,
        classes=len(prepared.dataset.classes),
        head_units=config.head_units,
        image_size=images.size,
        resize=images.square.resize,
        interpolation=images.square.interpolation,
        crop_pct=images.square.crop_pct,
        mean=preprocessing.mean,
        std=preprocessing.std,
        grey=prepared.images.grey.scales,
    )
