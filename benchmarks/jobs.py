"""The jobs of the speed benchmark, and how much reuse can save in each by arithmetic."""

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
        meaning: one line.
        space: searched values; a grid.
        epochs: of each trial.
        training: fixed values.
        augment: as in the search file.
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
    """How many times as much is computed without reuse as with it: Amdahl's law over multiply-accumulates.

    An image costs one forward pass of what is frozen and, in training, three of what is trained (forward, gradients of
    activations, gradients of weights), in validation one. With reuse, what is frozen is computed once for each
    architecture, depth and view. Heads count nothing: with one view and everything frozen the bound is trials x epochs.
    Multiply-accumulates are not seconds, so it is a guide, and no limit to the digit.

    Args:
        configs: of all trials.
        split: its training and validation images count.
        image_size: pixels a side.
        fresh_views: whether each epoch has training images of its own.
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
