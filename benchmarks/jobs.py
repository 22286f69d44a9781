"""The jobs of the speed benchmark, and a theoretical bound on what reuse can save in each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from thaw.spaces import TrialConfig
from thaw.trainables.data.splits import Split
from thaw.trainables.networks.backbone import resolve


@dataclass(frozen=True)
class Job:
    """One search that every arm runs.

    Args:
        meaning: description in one line.
        space: searched values, as a grid.
        epochs: epochs of each trial.
        training: fixed hyperparameters.
        augment: augmentation, as in the search file.
    """

    meaning: str
    space: dict[str, Any]
    epochs: int
    training: dict[str, Any]
    augment: str = "none"


HEADS = {"learning_rate": [1e-4, 3e-4, 1e-3, 3e-3], "dropout": [0.0, 0.2, 0.4]}
RATES = [1e-4, 3e-4, 1e-3]

JOBS: dict[str, Job] = {
    "head": Job("all frozen, one view", HEADS, 8, {"freeze_depth": 5}),
    "fresh": Job("all frozen, fresh augmentation each epoch", HEADS, 8, {"freeze_depth": 5}, "paper"),
    "mixed": Job("freeze depth 0, 3, 4, 5", {"freeze_depth": [0, 3, 4, 5], "learning_rate": RATES}, 4, {}),
    "full": Job("nothing frozen", {"learning_rate": [1e-4, 1e-3]}, 2, {"freeze_depth": 0}),
}


def bound(configs: Sequence[TrialConfig], split: Split, image_size: int, fresh_views: bool) -> float:
    """The ratio of computation without reuse to that with reuse: Amdahl's law over multiply-accumulates.

    An image costs one forward pass of the frozen part; for the trained part, it costs three passes in training
    (forward, gradients of activations, gradients of weights) and one in validation. With reuse, the frozen part is
    computed once per architecture, depth and view. Heads are counted as free: with one view and everything frozen, the
    bound is trials x epochs. Multiply-accumulates are not seconds, so this is a guide, not an exact limit.

    Args:
        configs: the configurations of all trials.
        split: its training and validation images are counted.
        image_size: side length in pixels.
        fresh_views: whether each epoch has its own training images.
    """
    train, validation = len(split.train), len(split.validation)
    frozen_live = frozen_once = trained = 0.0
    seen: dict[tuple[str, int], int] = {}
    for config in configs:
        macs = [stage.macs for stage in resolve(config.architecture, "none", image_size).cost.stages]
        prefix, tail = sum(macs[: config.freeze_depth]), sum(macs[config.freeze_depth :])
        frozen_live += config.epochs * (train + validation) * prefix
        trained += config.epochs * (3 * train + validation) * tail
        key, views = (config.architecture, config.freeze_depth), config.epochs if fresh_views else 1
        before = seen.get(key, 0)
        frozen_once += (max(views - before, 0) * train + (0 if before else validation)) * prefix
        seen[key] = max(views, before)
    return (frozen_live + trained) / (frozen_once + trained)
