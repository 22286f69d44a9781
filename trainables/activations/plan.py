"""Whether activations are worth storing, and as what."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from thaw.trainables.activations.resident import has_room
from thaw.trainables.networks.cost import Cost

MIN_GAIN = 1.15
"""Smallest speed-up of a training step for which activations are stored; below it they are not worth the disk space."""

MACS_PER_BYTE = {"cpu": 25.0, "cuda": 5000.0, "resident": 10.0}
"""Multiply-accumulates that a device performs while one byte is read from the store: about 25 billion per second on
one core, which reads 1 GB/s; 10 trillion on a GPU, which reads 2 GB/s from host memory and 1 TB/s from its own. Only
the order of magnitude matters."""

STORED_AS = {"auto": torch.float32, "fp16": torch.float16}


@dataclass(frozen=True)
class Plan:
    """Whether the activations at one freeze depth are worth storing.

    Args:
        shape: of one image's activations.
        row_bytes: size on disk of one image's activations.
        gain: estimated speed-up of a training step: its cost with the prefix computed over that with the prefix stored.
    """

    shape: tuple[int, ...]
    row_bytes: int
    gain: float

    @property
    def stored(self) -> bool:
        return self.gain >= MIN_GAIN


def stored_type(precision: str, activations: str) -> torch.dtype:
    """Data type of stored activations: lossless, unless half precision is chosen."""
    return torch.bfloat16 if precision == "bf16" else STORED_AS.get(activations, torch.float32)


def plan(cost: Cost, freeze_depth: int, head_units: int, dtype: torch.dtype, place: str) -> Plan:
    """The plan for one backbone and freeze depth (1 to 5); `place`, a key of `MACS_PER_BYTE`, is where rows are read.

    A training step costs three forward passes of the trained part (forward, gradients of activations, gradients of
    weights) and one of the frozen part. With stored activations the latter is replaced by reading them.
    """
    row_bytes = cost.size(freeze_depth) * dtype.itemsize
    trained = 3 * (sum(stage.macs for stage in cost.stages[freeze_depth:]) + cost.features * max(head_units, 1))
    frozen = sum(stage.macs for stage in cost.stages[:freeze_depth])
    gain = (trained + frozen) / (trained + row_bytes * MACS_PER_BYTE[place])
    return Plan(cost.shape(freeze_depth), row_bytes, gain)


def reading_place(size: int, device: torch.device) -> str:
    """Where rows of a view of `size` bytes are read in this process: a key of `MACS_PER_BYTE`."""
    return "resident" if has_room(size, device) else device.type
