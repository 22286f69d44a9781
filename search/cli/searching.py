"""The commands that search and confirm. Each imports what it needs when it runs."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from thaw.search.backends import DEFAULT, starting_ahead
from thaw.search.cli.options import Address, Backend, File, From, Import, RunArgument, Set
from thaw.search.exit_status import naming
from thaw.search.prepare.stages import loading
from thaw.search.sessions.interruptible import interruptible
from thaw.search.terminal import outlive_the_terminal
from thaw.spaces import ConfigError

if TYPE_CHECKING:
    from thaw.search.engine.observers import Observer

BEGAN = time.time()
"""When the command was given, as far as a process can know: the user's wait begins here."""


def init(
    photos: Annotated[
        Path, typer.Argument(help="a folder of photos, with their labels in it or next to it", metavar="PHOTOS")
    ],
    to: Annotated[Path, typer.Option("--to", help="a new file", metavar="FILE")] = Path("search.yaml"),
) -> None:
    """Inspect a folder of photos and write a search file for it."""
    from thaw.search.init import init as write

    write(photos, to, Console(markup=False))


def search(
    file: File,
    more: Annotated[list[Path] | None, typer.Argument(help="more runs for --from", metavar="[RUN ...]")] = None,
    from_: From = [],  # noqa: B006 - typer copies it
    output: Annotated[
        Path | None, typer.Option(help="folder for run folders, instead of the file's `output`", metavar="DIR")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="number of trials", min=1, metavar="N")] = None,
    time_budget: Annotated[
        str | None, typer.Option(help="stop after this time, such as 30m or 2h", metavar="TIME")
    ] = None,
    set_: Set = [],  # noqa: B006 - typer copies it
    address: Address = None,
    backend: Backend = DEFAULT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything, measure, and start nothing")] = False,
    open_: Annotated[
        bool, typer.Option("--open", help="show the report in the browser, redrawn while the search runs")
    ] = False,
    import_: Import = [],  # noqa: B006 - typer copies it
) -> None:
    """Search for the best configuration for a data set."""
    from thaw.search.settings.config import load_config

    _check_address(address, backend)
    if more and not from_:
        raise ConfigError(f"takes one search file, got {' '.join(map(str, [file, *more]))}", "FILE")
    runs = [str(run) for run in (*from_, *(more or []))]
    overrides = [*set_, *([f"search.learn_from={json.dumps(runs)}"] if runs else [])]
    # In quotes: a folder may be called 2026, or have a colon in its name.
    overrides += [f"output={json.dumps(str(output))}"] if output is not None else []
    overrides += _budgets(trials, time_budget)
    config = load_config(file, overrides)
    console = Console(markup=False)
    if dry_run:
        with interruptible(console), loading(console):
            from thaw.search.backends.ray.cluster import joined
            from thaw.search.dry_run import dry_run as show

        with joined(address), naming(file):
            show(config, console)
        return
    outlive_the_terminal()
    with ExitStack() as started:
        with interruptible(console), loading(console):
            started.enter_context(starting_ahead(backend))
            from thaw.search.backends.ray.cluster import joined
            from thaw.search.prepare.preflight import run_folder
            from thaw.search.sessions.tuner import run_search
            from thaw.search.summary import print_summary

        observers: list[Observer] = []
        if open_:
            from thaw.search.observers.page import OpenPage

            observers.append(OpenPage(run_folder(config)))
        with joined(address), naming(file):
            result = run_search(config, console, backend=backend, observers=observers, began=BEGAN)
    raise typer.Exit(print_summary(result, console))


def resume(
    run: RunArgument,
    trials: Annotated[
        int | None, typer.Option(help="total number of trials, including earlier ones", min=1, metavar="N")
    ] = None,
    time_budget: Annotated[
        str | None, typer.Option(help="total time of all sessions, such as 30m or 2h", metavar="TIME")
    ] = None,
    set_: Set = [],  # noqa: B006 - typer copies it
    address: Address = None,
    backend: Backend = DEFAULT,
    import_: Import = [],  # noqa: B006 - typer copies it
) -> None:
    """Continue a search, or add trials to a finished one."""
    _check_address(address, backend)
    outlive_the_terminal()
    console = Console(markup=False)
    overrides = [*set_, *_budgets(trials, time_budget)]
    with ExitStack() as started:
        with interruptible(console, run, f"thaw resume {run}"), loading(console):
            started.enter_context(starting_ahead(backend))
            from thaw.search.backends.ray.cluster import joined
            from thaw.search.sessions.resume import resume_search
            from thaw.search.summary import print_summary

        with joined(address):
            result = resume_search(run, overrides, console, backend=backend, began=BEGAN)
    raise typer.Exit(print_summary(result, console))


def _check_address(address: str | None, backend: str) -> None:
    if address is not None and backend != "ray":
        raise ConfigError(
            f"joins a Ray cluster, which backend {backend} does not use; leave one of the two out", "--address"
        )


def _budgets(trials: int | None, time_budget: str | None) -> list[str]:
    given = {"trials": trials, "time_budget": time_budget}
    return [f"search.{name}={value}" for name, value in given.items() if value is not None]


def confirm(
    run: RunArgument,
    top: Annotated[int, typer.Option(help="number of best configurations", min=1, metavar="N")] = 5,
    folds: Annotated[int, typer.Option(help="folds of training and validation images", min=2, metavar="N")] = 5,
    seeds: Annotated[int, typer.Option(help="repetitions with different folds and seeds", min=1, metavar="N")] = 1,
    set_: Set = [],  # noqa: B006 - typer copies it
    backend: Backend = DEFAULT,
    import_: Import = [],  # noqa: B006 - typer copies it
) -> None:
    """Retrain the best configurations by cross-validation."""
    outlive_the_terminal()
    console = Console()
    with ExitStack() as started:
        with interruptible(console, run, f"thaw confirm {run}"), loading(console):
            started.enter_context(starting_ahead(backend))
            from thaw.search.confirmation.confirm import run_confirm
            from thaw.search.confirmation.table import print_confirmation

        found, reason = run_confirm(
            run, top=top, folds=folds, seeds=seeds, overrides=set_, console=console, backend=backend, began=BEGAN
        )
    raise typer.Exit(print_confirmation(run, found, reason, console))
