"""The command line: options in, exit status out. The work is done elsewhere and imported when it is needed."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from spaces import ConfigError, printable

app = typer.Typer(
    help="Hyperparameter search for transfer learning on images.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

OK, NOTHING_FINISHED, WRONG_INPUT = 0, 1, 2

File = Annotated[Path, typer.Argument(help="a search file (YAML)", metavar="FILE")]
RunArgument = Annotated[Path, typer.Argument(help="a run folder, such as results/NAME", metavar="RUN")]
Set = Annotated[
    list[str], typer.Option("--set", help="replace a key of the file: search.trials=10", metavar="KEY=VALUE")
]


def run() -> int:
    """Run the command that the process was started with and return its exit status."""
    try:
        # Outside of its standalone mode, Click returns the status of `typer.Exit` instead of raising it.
        return app(standalone_mode=False) or OK
    except ConfigError as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return WRONG_INPUT
    except typer.Abort:
        return 128 + signal.SIGINT
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 128 + signal.SIGINT
    except Exception as error:
        # Click's own complaints about options know how to show themselves; anything else is our fault and stays loud.
        show = getattr(error, "show", None)
        if show is None:
            raise
        show()
        return getattr(error, "exit_code", WRONG_INPUT)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Errors about the search file's content name the file, wherever they are found."""
    try:
        yield
    except ConfigError as error:
        raise error.within(file=file) from None


@app.command()
def search(
    file: File,
    output: Annotated[Path | None, typer.Option(help="where run folders go, instead of the file's `output`")] = None,
    trials: Annotated[int | None, typer.Option(help="number of trials", min=1)] = None,
    time_budget: Annotated[str | None, typer.Option(help="stop after this time, such as 30m or 2h")] = None,
    set_: Set = [],  # noqa: B006 - typer copies it
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything, measure, and start nothing")] = False,
) -> None:
    """Search the best configuration for a data set."""
    from search.config import load_config

    overrides = [*set_]
    # In quotes: a folder may be called 2026, or have a colon in its name.
    overrides += [f"output={json.dumps(str(output))}"] if output is not None else []
    overrides += [f"search.trials={trials}"] if trials is not None else []
    overrides += [f"search.time_budget={time_budget}"] if time_budget is not None else []
    config = load_config(file, overrides)
    console = Console(markup=False)
    if dry_run:
        from search.dry_run import dry_run as show

        with _naming(file):
            show(config, console)
        return
    from search.summary import print_summary
    from search.tuner import run_search

    with _naming(file):
        result = run_search(config, console)
    raise typer.Exit(print_summary(result, console))


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="run folders", metavar="RUN [RUN ...]")],
    output: Annotated[
        Path | None, typer.Option(help="where the page goes: RUN/report, for several runs ./report")
    ] = None,
) -> None:
    """Make one page with plots and tables of a run, or of several side by side."""
    from analysis import load_run
    from analysis.report import write_report

    page = write_report([load_run(run) for run in runs], output)
    print(page)


@app.command()
def best(run: RunArgument) -> None:
    """Print the best configuration as YAML."""
    from analysis import load_run
    from search.export import best_yaml

    text = best_yaml(load_run(run))
    if not text:
        print(f"{run}: no trial has finished yet", file=sys.stderr)
        raise typer.Exit(NOTHING_FINISHED)
    print(text, end="")


@app.command()
def data(file: File, set_: Set = []) -> None:  # noqa: B006 - typer copies it
    """Show what the data set of a search file holds. Only the labels are needed."""
    from search.config import load_config
    from search.describe import describe_data
    from search.preflight import load_dataset

    with _naming(file):
        describe_data(load_dataset(load_config(file, set_)), Console(markup=False))


@app.command()
def describe(
    architecture: Annotated[str, typer.Argument(help="a name such as resnet50, or timm:NAME")],
    freeze_depth: Annotated[int, typer.Option(help="stages frozen", min=0, max=5)] = 0,
    image_size: Annotated[int, typer.Option(help="side of the images in pixels", min=32, max=1024)] = 224,
) -> None:
    """Show an architecture's stages, what a freeze depth freezes, and what it costs."""
    from search.describe import describe_architecture

    describe_architecture(architecture, freeze_depth, image_size, Console(markup=False))
