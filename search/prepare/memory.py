"""The memory of a trial, estimated before anything starts."""

from __future__ import annotations

import math
import os

import torch

from thaw.search.prepare.measure import freeze_depths
from thaw.search.settings.config import SearchConfig
from thaw.spaces import ConfigError
from thaw.spaces.words import counted
from thaw.trainables.device_memory import usable_memory
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.cost import Cost

FLOAT = 4
"""Bytes per number; half precision takes less for what is kept of the images."""

PER_WEIGHT = 4
"""Numbers for each trained weight: itself, its gradient and the two averages of Adam."""


def trial_bytes(cost: Cost, freeze_depth: int, batch_size: int) -> int:
    """The memory of weights, gradients, the optimiser and a batch's values for the backward pass, without the head.

    A lower bound: the temporary memory of single operations comes on top.
    """
    frozen, trained = cost.stages[:freeze_depth], cost.stages[freeze_depth:]
    weights = sum(stage.parameters for stage in frozen) + PER_WEIGHT * sum(stage.parameters for stage in trained)
    return FLOAT * (weights + batch_size * sum(stage.kept for stage in trained))


def largest_trials(config: SearchConfig) -> dict[str, tuple[int, int, int]]:
    """Architecture → (bytes, freeze depth, batch size) of the most demanding trial in the space."""
    batch = max(int(value) for value in config.search_space.options("batch_size"))
    largest = {}
    for name in map(str, config.search_space.options("architecture")):
        depth = min(freeze_depths(config, name))
        cost = resolve(name, config.weights, config.data.image_size).cost
        largest[name] = trial_bytes(cost, depth, batch), depth, batch
    return largest


def check_memory(config: SearchConfig) -> None:
    """Every trial of the space fits where it runs.

    Args:
        config: with its resources filled in.

    Raises:
        ConfigError: one does not; the estimate is too low rather than too high.
    """
    there, place, more = _memory(config.resources.gpu or 0)
    for name, (needed, depth, batch) in largest_trials(config).items():
        if needed > there:
            raise ConfigError(
                f"a trial of {name} at freeze depth {depth} with batches of {counted(batch, 'image')} takes "
                f"{needed / 1e9:.1f} GB "
                f"or more, {place} has {there / 1e9:.1f} GB; lower training.batch_size or data.image_size, "
                f"raise freeze_depth{more}",
                "space.batch_size" if "batch_size" in config.space else "training.batch_size",
            )


def _memory(gpu: float) -> tuple[float, str, str]:
    """(bytes that a trial with this share of a GPU may take, of what, how to get more of it)."""
    if not gpu:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), "this machine", ""
    if not torch.cuda.is_available():
        # Trials run on other nodes, whose GPUs this one does not see.
        return math.inf, "", ""
    if gpu == 1:
        return usable_memory(gpu), "its GPU", ""
    return usable_memory(gpu), f"its share of the GPU (resources.gpu: {gpu:g})", ", or give it a larger share"
