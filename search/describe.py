"""Text for `thaw describe`."""

from __future__ import annotations

from collections.abc import Callable

import torch
from rich.console import Console
from rich.table import Table

from thaw.spaces import FROM_SCRATCH, STAGES, ConfigError
from thaw.spaces.trial import default
from thaw.trainables.activations.plan import MIN_GAIN, plan
from thaw.trainables.networks.backbone import resolve


def describe_architecture(name: str, freeze_depth: int, image_size: int, console: Console) -> None:
    """The stages, which of them are frozen at `freeze_depth`, and what remains to compute and to train.

    Raises:
        ConfigError: the architecture is unknown, or nothing of it can be frozen.
    """
    if freeze_depth and name in FROM_SCRATCH:
        raise ConfigError(
            f"{name} has no pretrained weights, so freeze depth must be 0, got {freeze_depth}", "--freeze-depth"
        )
    cost = resolve(name, "none", image_size).cost
    stages = cost.stages
    table = Table(title=f"{name} at {image_size} pixels", title_justify="left")
    for column in ("stage", "state", "output", "parameters", "million MACs an image"):
        table.add_column(column, justify="left" if column in ("stage", "state") else "right")
    for number, stage in enumerate(stages, 1):
        state = "frozen" if number <= freeze_depth else "trained"
        shape = " × ".join(map(str, stage.shape))
        table.add_row(str(number), state, shape, f"{stage.parameters:,}", f"{stage.macs / 1e6:,.1f}")
    console.print(table)
    trained = sum(stage.parameters for stage in stages[freeze_depth:])
    frozen = sum(stage.macs for stage in stages[:freeze_depth])
    every = sum(stage.macs for stage in stages)
    console.print(
        f"Freeze depth {freeze_depth} of {STAGES}: {trained:,} weights are trained, and the head.", highlight=False
    )
    # A backward pass costs about twice a forward pass (gradients for activations and for weights).
    share = (3 * every - 2 * frozen) / (3 * every) if every else 1.0
    console.print(f"A training step costs about {share:.0%} of one that trains everything.", highlight=False)
    if name not in FROM_SCRATCH:
        console.print(storage_table([name], image_size, default("head_units"), torch.float32))


READ_FROM = {"cpu": "file", "cuda": "file", "resident": "GPU's memory"}
"""Place of stored activations → what the table calls it."""


def storage_table(
    names: list[str],
    image_size: int,
    head_units: int,
    dtype: torch.dtype,
    place: Callable[[int], str] = lambda row_bytes: "cpu",
) -> Table:
    """What the activation cache would keep of each architecture at each freeze depth, and why (not).

    Args:
        place: bytes an image → a key of :data:`READ_FROM`.
    """
    table = Table(title=f"Activations stored: where a step gets {MIN_GAIN:g} times faster or more")
    table.title_justify = "left"
    for column in ("architecture", "freeze depth", "kB an image", "read from", "times faster", "stored"):
        table.add_column(column, justify="left" if column in ("architecture", "read from") else "right", no_wrap=True)
    for name in names:
        cost = resolve(name, "none", image_size).cost
        for depth in range(1, STAGES + 1):
            read_from = place(cost.size(depth) * dtype.itemsize)
            row = plan(cost, depth, head_units, dtype, read_from)
            verdict = "yes" if row.stored else "no"
            size, gain = f"{row.row_bytes / 1000:,.1f}", f"{row.gain:.2f}"
            table.add_row(name, str(depth), size, READ_FROM[read_from], gain, verdict)
    return table
