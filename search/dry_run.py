"""`thaw search --dry-run`: check everything, measure what an epoch costs, and say how long the search may take."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from search.config import SearchConfig
from search.describe import storage_table
from search.preflight import Prepared, prepare, run_folder
from spaces import STAGES, TrialConfig
from trainables.activations import stored_type
from trainables.loop import EpochRow, Training
from trainables.splits import Split

BATCHES = 3


def dry_run(config: SearchConfig, console: Console) -> None:
    """Print the number of trials, seconds of an epoch by architecture and freeze depth, and the expected time.

    Raises:
        ConfigError: the search could not start.
    """
    folder = run_folder(config)
    prepared = prepare(config)
    search = prepared.config.search
    images = prepared.context.split
    console.print(
        f"{len(images.train)} images to train on, {len(images.validation)} to validate, {len(images.test)} locked; "
        f"{len(prepared.rejected)} cannot be used",
        highlight=False,
    )
    console.print(
        f"{search.trials} trials, {search.concurrency} at once, into {folder.path}", highlight=False, soft_wrap=True
    )
    costs = measure_epochs(prepared)
    table = Table(title="Seconds of one epoch, measured on a few batches", title_justify="left")
    depths = sorted({depth for _, depth in costs})
    table.add_column("architecture")
    for depth in depths:
        table.add_column(f"freeze depth {depth}", justify="right")
    for name in dict.fromkeys(name for name, _ in costs):
        table.add_row(name, *(f"{costs[name, depth]:.1f}" if (name, depth) in costs else "–" for depth in depths))
    console.print(table)
    _print_storage(prepared, console)
    space = prepared.config.search_space
    epochs = float(np.mean([int(value) for value in space.options("epochs")]))
    assert search.trials is not None and search.concurrency is not None
    seconds = float(np.mean(list(costs.values()))) * search.trials * epochs / search.concurrency
    console.print(f"At most about {_duration(seconds)}, if every trial trains {epochs:g} epochs", highlight=False)
    if prepared.config.scheduler.type != "none":
        console.print("Trials that are stopped early make it shorter: often to a third or less.")


def _print_storage(prepared: Prepared, console: Console) -> None:
    """What the activation cache would keep, for architectures of which something can be frozen."""
    config, context = prepared.config, prepared.context
    space = config.search_space
    names = [
        str(name) for name in space.options("architecture") if space.active("freeze_depth", {"architecture": name})
    ]
    if context.cache.activations == "off" or not names:
        console.print("No activations are stored.")
        return
    dtype = stored_type(config.precision, context.cache.activations)
    units = max(int(value) for value in space.options("head_units"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    console.print(storage_table(names, context.images.size, units, dtype, device))


def measure_epochs(prepared: Prepared) -> dict[tuple[str, int], float]:
    """(architecture, freeze depth) → seconds of an epoch, for every pair that the space can hold.

    Each pair trains and validates on a few batches, once to warm up and once to measure; the rest is arithmetic.
    """
    config, context = prepared.config, prepared.context
    torch.set_num_threads(config.resources.cpu)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    images = context.images.open()
    space, split = config.search_space, context.split
    costs = {}
    for name in space.options("architecture"):
        for depth in _depths(prepared, str(name)):
            trial: TrialConfig = space.config({"architecture": name, "freeze_depth": depth})
            trial = trial.model_copy(update={"epochs": 2, "patience": 0})
            few = BATCHES * trial.batch_size
            sample = Split(split.train[:few], split.validation[:few], split.test[:0])
            live = replace(context, split=sample, cache=replace(context.cache, activations="off"))
            training = Training(trial, live, images, device)
            training.epoch()
            row = training.epoch()
            if isinstance(row, EpochRow):
                shares = {
                    "prefix": 0.0,
                    "train": len(split.train) / len(sample.train),
                    "validate": len(split.validation) / len(sample.validation),
                }
                costs[str(name), depth] = sum(row.seconds[phase] * share for phase, share in shares.items())
    return costs


def _depths(prepared: Prepared, architecture: str) -> list[int]:
    space = prepared.config.search_space
    if not space.active("freeze_depth", {"architecture": architecture}):
        return [0]
    parameter = space.parameters.get("freeze_depth")
    if parameter is None:
        return [int(value) for value in space.options("freeze_depth")]
    return [depth for depth in range(STAGES + 1) if depth in parameter]


def _duration(seconds: float) -> str:
    minutes = seconds / 60
    return (
        f"{seconds:.0f} seconds"
        if seconds < 120
        else f"{minutes:.0f} minutes"
        if minutes < 120
        else f"{minutes / 60:.1f} hours"
    )
