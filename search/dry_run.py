"""`thaw search --dry-run`: check everything, measure what an epoch costs, and say how long the search may take."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from thaw.analysis.words import duration
from thaw.search.describe import storage_table
from thaw.search.prepare.earlier import earlier_lines, earlier_runs, earlier_trials
from thaw.search.prepare.measure import measure_epochs
from thaw.search.prepare.memory import largest_trials
from thaw.search.prepare.preflight import Prepared, prepare, run_folder
from thaw.search.prepare.stages import Stages, say
from thaw.search.settings.config import SearchConfig
from thaw.search.settings.finite import searched_once
from thaw.spaces.words import counted
from thaw.trainables.activations.plan import reading_place, stored_type
from thaw.trainables.device import default_device
from thaw.trainables.device_memory import limit_memory


def dry_run(config: SearchConfig, console: Console) -> None:
    """Print the number of trials, seconds per epoch by architecture and freeze depth, and the expected time.

    Raises:
        ConfigError: the search could not start.
    """
    folder = run_folder(config)
    config, notes = searched_once(config)
    for note in notes:
        say(console, note)
    earlier_runs(config)
    prepared = prepare(config, Stages(console))
    for line in [*prepared.facts.lines(), *earlier_lines(earlier_trials(prepared), prepared.config)]:
        say(console, line)
    search = prepared.config.search
    images = prepared.context.split
    console.print(
        f"{counted(len(images.train), 'image')} to train on, {len(images.validation)} to validate, "
        f"{len(images.test)} locked; "
        f"{len(prepared.rejected)} cannot be used",
        highlight=False,
    )
    console.print(
        f"{search.trials} trials, {search.concurrency} at once, into {folder.path}",
        highlight=False,
        soft_wrap=True,
    )
    gpu = prepared.config.resources.gpu or 0
    if default_device(gpu).type == "cuda":
        # Measured and judged in this process, with no more than a trial has.
        limit_memory(gpu)
    costs = measure_epochs(prepared.config, prepared.context)
    table = Table(title="Seconds of one epoch by freeze depth, measured on a few batches, nothing stored")
    table.title_justify = "left"
    depths = sorted({depth for _, depth in costs})
    table.add_column("architecture", no_wrap=True)
    for depth in depths:
        table.add_column(str(depth), justify="right")
    names = dict.fromkeys(name for name, _ in costs)
    for name in names:
        table.add_row(name, *(f"{costs[name, depth]:.1f}" if (name, depth) in costs else "–" for depth in depths))
    console.print(table)
    console.print(_memory_table(prepared.config))
    _print_storage(prepared, console)
    space = prepared.config.search_space
    epochs = statistics.mean(int(value) for value in space.options("epochs"))
    assert search.trials is not None and search.concurrency is not None
    seconds = longest_time(costs, epochs, search.trials, search.concurrency)
    length = f"{epochs:g} epoch{'' if epochs == 1 else 's'}"
    console.print(f"At most about {duration(seconds)}, if every trial trains {length}", highlight=False)
    if prepared.config.scheduler.type != "none":
        console.print("Early stopping makes it shorter: often a third of that or less.")


def longest_time(costs: Mapping[tuple[str, int], float], epochs: float, trials: int, concurrency: int) -> int:
    """Whole seconds, at least one, of a search whose trials all train for `epochs`.

    Args:
        costs: (architecture, freeze depth) → seconds of an epoch.
    """
    by_architecture: dict[str, list[float]] = {}
    for (name, _), cost in costs.items():
        by_architecture.setdefault(name, []).append(cost)
    # Architectures are drawn first, then depths.
    mean = statistics.mean(statistics.mean(depths) for depths in by_architecture.values())
    # Trials come in rounds: fewer than fit at once take as long as one.
    return math.ceil(mean * epochs * math.ceil(trials / concurrency))


def _memory_table(config: SearchConfig) -> Table:
    """The memory of the most demanding trial of each architecture."""
    table = Table(title="Memory of one trial, estimated, for the largest batch and the smallest freeze depth")
    table.title_justify = "left"
    for column in ("architecture", "freeze depth", "batch size", "GB"):
        table.add_column(column, justify="left" if column == "architecture" else "right", no_wrap=True)
    for name, (needed, depth, batch) in largest_trials(config).items():
        table.add_row(name, str(depth), str(batch), f"{needed / 1e9:.2f}")
    return table


def _print_storage(prepared: Prepared, console: Console) -> None:
    """What the activation cache would store, for architectures that can be partly frozen."""
    config, context = prepared.config, prepared.context
    space = config.search_space
    names = [
        str(name) for name in space.options("architecture") if space.active("freeze_depth", {"architecture": name})
    ]
    if context.cache.activations == "off" or not names:
        console.print("No activations are stored.")
        return
    dtype = stored_type(context.precision_of(names[0]), context.cache.activations)
    units = max(int(value) for value in space.options("head_units"))
    gpu = config.resources.gpu or 0
    device = default_device(gpu)

    def place(row_bytes: int) -> str:
        if gpu and device.type == "cpu":
            return "cuda"  # of other nodes; how much room they have is not known here
        return reading_place(row_bytes * len(context.labels), device)

    console.print(storage_table(names, context.images.size, units, dtype, place))
