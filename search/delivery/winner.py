"""A trained configuration that is handed over, and what the bundle and its card say of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from thaw.search.delivery.assemble import classifier_facts
from thaw.search.delivery.model_card import ModelFacts
from thaw.search.delivery.scoring import Score
from thaw.search.prepare.preflight import Prepared
from thaw.search.prepare.provenance import provenance
from thaw.search.version import __version__
from thaw.trainables.evaluation.label_sets import LabelRule
from thaw.trainables.networks.weights import chosen_weights
from thaw.trainables.training.checkpoint import BestCheckpoint


@dataclass(frozen=True)
class LabelGoal:
    """What the label rule is to serve; see :func:`thaw.trainables.evaluation.label_sets.fit_label_rule`."""

    target: str = "f1_macro"
    policy: str = "threshold"
    k: int | None = None
    floor: float = 0.9


DEFAULT_GOAL = LabelGoal()


@dataclass(frozen=True)
class Winner:
    """A trained configuration, and how it came to be chosen.

    Args:
        prepared: the data, and the search file with the one configuration.
        best: the trained network.
        refit: the same configuration trained on training and validation images together, to be handed over instead.
        run: name of the run, or of the search file where there was no search.
        trial: its number; None without a search.
        status: the trial's.
        source: where its weights are from: ``checkpoint``, ``trained_again`` or ``trained``.
        trials: how many the search had.
        metrics: what was measured at its best epoch, by column.
        confirmation: the content of ``confirm.json``, if the run was confirmed.
        held_out: logits (N, L) and targets (N, L) of a confirmation, each by a network that was not trained on the
            image; None takes those of `best` on the validation images, which also chose the epoch.
        scored: told of the score on the test split once that has been looked at; returns how often it has been.
    """

    prepared: Prepared
    best: BestCheckpoint
    refit: BestCheckpoint | None
    run: str
    trial: int | None
    status: str
    source: str
    trials: int
    metrics: dict[str, float]
    confirmation: dict[str, Any] | None
    held_out: tuple[np.ndarray, np.ndarray] | None
    scored: Callable[[Score], int]


def bundle_facts(winner: Winner, goal: LabelGoal, rule: LabelRule) -> dict[str, Any]:
    """What ``bundle.json`` holds, but the scores: see ``docs/architecture.md``."""
    prepared, best = winner.prepared, winner.best
    confirmed = winner.held_out is not None
    return {
        "thaw": __version__,
        "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "run": winner.run,
        "classes": list(prepared.dataset.classes),
        "ids": list(prepared.dataset.ids),
        "model": classifier_facts(prepared, best).to_dict(),
        "rule": rule.to_dict(),
        "rule_fit": {
            "target": goal.target,
            "floor": goal.floor if goal.target == "precision" else None,
            "from": "out_of_fold" if confirmed else "validation",
            "images": len(winner.held_out[0]) if winner.held_out is not None else len(best.rows),
            "optimistic": not confirmed,
        },
        # The file's name alone: where it lay means nothing elsewhere.
        "weights": Path(chosen_weights(best.config.architecture, prepared.context.weights)).name,
        "trial": {
            "number": winner.trial,
            "status": winner.status,
            "epoch": best.epoch,
            "config": best.config.model_dump(),
            "weights_from": winner.source,
            "refit": winner.refit is not None,
        },
        "search": {"trials": winner.trials, "metric": prepared.context.metric},
        "validation": {"images": len(best.rows), "metrics": winner.metrics, "trivial": prepared.trivial},
        "confirmation": winner.confirmation,
        "provenance": provenance(prepared),
    }


def card_facts(facts: dict[str, Any], rule: LabelRule, score: Score | None) -> ModelFacts:
    """What the card says: the bundle's facts, and the figures on the test split with their intervals."""
    trial, model, origin = facts["trial"], facts["model"], facts["provenance"]
    metric = facts["search"]["metric"]
    return ModelFacts(
        run=facts["run"],
        created=facts["created"].partition("T")[0],
        trial=trial["number"],
        epoch=trial["epoch"],
        trials=facts["search"]["trials"],
        config=trial["config"],
        weights=facts["weights"],
        classes=facts["classes"],
        image_size=model["image_size"],
        resize=model["resize"],
        images=origin["data"]["images"],
        label_counts=origin["data"]["labels"]["counts"],
        refit=trial["refit"],
        fingerprint=origin["data"]["fingerprint"],
        versions=origin["packages"],
        metric=metric,
        search_value=facts["validation"]["metrics"][metric],
        confirmation=facts["confirmation"],
        rule=rule,
        rule_target=facts["rule_fit"]["target"],
        rule_origin=facts["rule_fit"]["from"],
        rule_images=facts["rule_fit"]["images"],
        test=None if score is None else score.metrics,
        trivial={} if score is None else score.trivial,
        policies=[] if score is None else score.policies,
        onnx=facts["onnx"] is not None,
    )
