"""Text for `thaw data` and `thaw describe`."""

from __future__ import annotations

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from thaw.spaces import FROM_SCRATCH, STAGES, ConfigError, printable
from thaw.spaces.trial import default
from thaw.trainables.activations.inputs import MIN_GAIN, plan
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.grey import Grey
from thaw.trainables.networks.table import describe_stages

BAR = 40


def describe_data(dataset: Dataset, grey: Grey, console: Console) -> None:
    """Counts, absent and rejected images, the scale of grey ones, and how labels are distributed."""
    images, labels = dataset.labels.shape
    absent = dataset.absent()
    console.print(f"{images} images, {labels} labels, from {dataset.root}", highlight=False, soft_wrap=True)
    if absent:
        first = printable(", ".join(absent[:3]))
        console.print(f"{len(absent)} of them are absent (first: {first})", highlight=False, soft_wrap=True)
    if dataset.rejected:
        file, reason = map(printable, dataset.rejected[0])
        console.print(
            f"{len(dataset.rejected)} rows cannot be used (first: {file}: {reason})", highlight=False, soft_wrap=True
        )
    for note in grey.notes():
        console.print(note, highlight=False, soft_wrap=True)
    support = dataset.labels.sum(axis=0)
    rows = [(printable(dataset.classes[i]), int(support[i])) for i in np.argsort(-support, kind="stable")]
    console.print(_bars("label", rows, images))
    counts = np.bincount(dataset.labels.sum(axis=1))
    rows = [(str(number), int(count)) for number, count in enumerate(counts) if count]
    console.print(_bars("labels an image", rows, images))


def _bars(title: str, rows: list[tuple[str, int]], images: int) -> Table:
    table = Table(box=None)
    table.add_column(title)
    table.add_column("images", justify="right")
    table.add_column("share", justify="right")
    table.add_column("")
    longest = max(count for _, count in rows) or 1
    for name, count in rows:
        table.add_row(name, str(count), f"{count / images:.2%}", "█" * round(BAR * count / longest))
    return table


def describe_architecture(name: str, freeze_depth: int, image_size: int, console: Console) -> None:
    """Stages with what is frozen at `freeze_depth`, and what that leaves to compute and to train.

    Raises:
        ConfigError: the architecture is unknown, or nothing of it can be frozen.
    """
    if freeze_depth and name in FROM_SCRATCH:
        raise ConfigError(
            f"{name} has no pretrained weights, so freeze depth must be 0, got {freeze_depth}", "--freeze-depth"
        )
    stages = describe_stages(name, image_size)
    table = Table(title=f"{name} at {image_size} pixels", title_justify="left")
    for column in ("stage", "state", "stride", "output", "parameters", "million MACs an image"):
        table.add_column(column, justify="left" if column in ("stage", "state") else "right")
    for number, stage in enumerate(stages, 1):
        state = "frozen" if number <= freeze_depth else "trained"
        shape = " × ".join(map(str, stage.shape))
        table.add_row(str(number), state, str(stage.stride), shape, f"{stage.parameters:,}", f"{stage.macs / 1e6:,.1f}")
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
        console.print(storage_table([name], image_size, default("head_units"), torch.float32, "cpu"))


def storage_table(names: list[str], image_size: int, head_units: int, dtype: torch.dtype, device: str) -> Table:
    """What the activation cache would keep of each architecture at each freeze depth, and why (not)."""
    table = Table(title=f"Activations stored ({device}): where a step gets {MIN_GAIN:g} times faster or more")
    table.title_justify = "left"
    for column in ("architecture", "freeze depth", "kB an image", "times faster", "stored"):
        table.add_column(column, justify="left" if column == "architecture" else "right", no_wrap=True)
    for name in names:
        for depth in range(1, STAGES + 1):
            row = plan(name, depth, image_size, head_units, dtype, device)
            verdict = "yes" if row.stored else "no"
            table.add_row(name, str(depth), f"{row.row_bytes / 1000:,.1f}", f"{row.gain:.2f}", verdict)
    return table
