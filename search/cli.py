"""The command line: options in, exit status out. Each command imports what it needs when it runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from thaw.search.backends import DEFAULT
from thaw.search.exit_status import NOTHING_FINISHED, exit_status
from thaw.search.options import Address, AtMost, Backend, File, Floor, Onnx, Policy, RunArgument, Set, Target, To
from thaw.search.terminal import outlive_the_terminal
from thaw.search.version import __version__
from thaw.spaces import ConfigError, printable

if TYPE_CHECKING:
    from thaw.analysis.run import Run

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # typer's own markup shows flags as options that take a <bool>
)


def run() -> int:
    """Run the command that the process was started with and return its exit status."""
    # Outside of its standalone mode, Click returns the status of `typer.Exit` instead of raising it.
    return exit_status(lambda: app(standalone_mode=False))


def _show_version(requested: bool) -> None:
    if requested:
        print(f"thaw {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="show the version and exit", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Hyperparameter search for transfer learning on images."""


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Errors about the content of a search file name the file."""
    try:
        yield
    except ConfigError as error:
        raise error.within(file=file) from None


@contextmanager
def _training() -> Iterator[None]:
    """A training that fails is not the input's fault: status 1."""
    from thaw.search.delivery.fit import TrainingFailed

    try:
        yield
    except TrainingFailed as error:
        print(f"error: {error}", file=sys.stderr)
        raise typer.Exit(NOTHING_FINISHED) from None


@app.command()
def init(
    photos: Annotated[
        Path, typer.Argument(help="a folder of photos, with their labels in it or beside it", metavar="PHOTOS")
    ],
    to: Annotated[Path, typer.Option("--to", help="a new file", metavar="FILE")] = Path("search.yaml"),
) -> None:
    """Look at a folder of photos and write a search file for it."""
    from thaw.search.init import init as write

    write(photos, to, Console(markup=False))


@app.command()
def search(
    file: File,
    output: Annotated[
        Path | None, typer.Option(help="where run folders go, instead of the file's `output`", metavar="DIR")
    ] = None,
    trials: Annotated[int | None, typer.Option(help="number of trials", min=1, metavar="N")] = None,
    time_budget: Annotated[
        str | None, typer.Option(help="stop after this time, such as 30m or 2h", metavar="TIME")
    ] = None,
    set_: Set = [],  # noqa: B006 - typer copies it
    address: Address = None,
    backend: Backend = DEFAULT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything, measure, and start nothing")] = False,
) -> None:
    """Search the best configuration for a data set."""
    from thaw.search.settings.config import load_config

    overrides = [*set_]
    # In quotes: a folder may be called 2026, or have a colon in its name.
    overrides += [f"output={json.dumps(str(output))}"] if output is not None else []
    overrides += _budgets(trials, time_budget)
    config = load_config(file, overrides)
    console = Console(markup=False)
    from thaw.search.backends.ray.cluster import joined

    if dry_run:
        from thaw.search.dry_run import dry_run as show

        with joined(address), _naming(file):
            show(config, console)
        return
    from thaw.search.sessions.tuner import run_search
    from thaw.search.summary import print_summary

    outlive_the_terminal()
    with joined(address), _naming(file):
        result = run_search(config, console, backend=backend)
    raise typer.Exit(print_summary(result, console))


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(help="run folders", metavar="RUN [RUN ...]")],
    output: Annotated[
        Path | None, typer.Option(help="where the page goes: RUN/report, for several runs ./report", metavar="DIR")
    ] = None,
    no_photos: Annotated[bool, typer.Option("--no-photos", help="keep photos out of the page")] = False,
) -> None:
    """Make one page of plots and tables of a run, or of several."""
    from thaw.analysis.report import write_report
    from thaw.analysis.run import load_run

    outlive_the_terminal()
    loaded = [load_run(run) for run in runs]
    photos = [] if no_photos else [_gallery(run) for run in loaded]
    print(write_report(loaded, output, photos))


def _gallery(run: Run) -> str:
    """The photos of a report; empty, with a note, where they cannot be shown: a page without them is still a page."""
    from thaw.analysis.report.photos import gallery
    from thaw.search.photos import run_sheets

    try:
        return gallery(run_sheets(run))
    except (ConfigError, OSError) as error:
        print(printable(f"note: no photos: {error}"), file=sys.stderr)
        return ""


@app.command()
def show(
    file: File,
    to: Annotated[Path, typer.Option("--to", help="a new page", metavar="FILE.html")] = Path("photos.html"),
    set_: Set = [],  # noqa: B006 - typer copies it
) -> None:
    """Show training images as the network sees them."""
    from thaw.search.photos import show as write
    from thaw.search.settings.config import load_config

    with _naming(file):
        write(load_config(file, set_), to, Console(markup=False))


@app.command("list")
def list_runs(
    folder: Annotated[Path, typer.Argument(help="a folder that holds run folders", metavar="[DIR]")] = Path("results"),
) -> None:
    """List runs with their state, best value and time."""
    from thaw.search.runs import print_runs

    print_runs(folder, Console(markup=False))


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="run folders, two or more", metavar="RUN RUN [RUN ...]")],
    output: Annotated[Path, typer.Option(help="where the page goes", metavar="DIR")] = Path("report"),
) -> None:
    """Make one page that shows several runs side by side."""
    if len(runs) < 2:
        raise ConfigError(f"needs two run folders or more, got {len(runs)}; thaw report shows one", "RUN")
    report(runs, output)


@app.command()
def resume(
    run: RunArgument,
    trials: Annotated[
        int | None, typer.Option(help="number of trials in all, earlier ones included", min=1, metavar="N")
    ] = None,
    time_budget: Annotated[
        str | None, typer.Option(help="time for all sessions together, such as 30m or 2h", metavar="TIME")
    ] = None,
    set_: Set = [],  # noqa: B006 - typer copies it
    address: Address = None,
    backend: Backend = DEFAULT,
) -> None:
    """Continue a search, or add trials to a finished one."""
    from thaw.search.backends.ray.cluster import joined
    from thaw.search.sessions.resume import resume_search
    from thaw.search.summary import print_summary

    outlive_the_terminal()
    console = Console(markup=False)
    with joined(address):
        result = resume_search(run, [*set_, *_budgets(trials, time_budget)], console, backend=backend)
    raise typer.Exit(print_summary(result, console))


def _budgets(trials: int | None, time_budget: str | None) -> list[str]:
    given = {"trials": trials, "time_budget": time_budget}
    return [f"search.{name}={value}" for name, value in given.items() if value is not None]


@app.command()
def best(run: RunArgument) -> None:
    """Print the best configuration as YAML."""
    from thaw.analysis.run import load_run
    from thaw.search.best import best_yaml

    text = best_yaml(load_run(run))
    if not text:
        print(f"{run}: no trial has finished yet", file=sys.stderr)
        raise typer.Exit(NOTHING_FINISHED)
    print(text, end="")


@app.command()
def confirm(
    run: RunArgument,
    top: Annotated[int, typer.Option(help="how many of the best configurations", min=1, metavar="N")] = 5,
    folds: Annotated[int, typer.Option(help="folds of training and validation images", min=2, metavar="N")] = 5,
    seeds: Annotated[int, typer.Option(help="repetitions with other folds and seeds", min=1, metavar="N")] = 1,
    set_: Set = [],  # noqa: B006 - typer copies it
    backend: Backend = DEFAULT,
) -> None:
    """Train the best configurations again by cross-validation."""
    from thaw.search.confirmation.confirm import run_confirm
    from thaw.search.confirmation.table import print_confirmation

    outlive_the_terminal()
    console = Console()
    found, reason = run_confirm(
        run, top=top, folds=folds, seeds=seeds, overrides=set_, console=console, backend=backend
    )
    raise typer.Exit(print_confirmation(run, found, reason, console))


@app.command()
def data(
    file: File,
    set_: Set = [],  # noqa: B006 - typer copies it
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object instead of text")] = False,
) -> None:
    """Show what a data set holds and how it was read. Only the labels are needed."""
    from thaw.search.describe_data import describe_data
    from thaw.search.prepare.data_set import data_facts, load_dataset
    from thaw.search.settings.config import load_config
    from thaw.trainables.data.image_store import sampled_grey

    with _naming(file):
        config = load_config(file, set_)
        dataset = load_dataset(config)
        notes = sampled_grey(dataset.root, dataset.files, config.data.white).notes()
        facts = data_facts(config, dataset, notes)
    if as_json:
        print(json.dumps(facts.to_dict(), ensure_ascii=False))
    else:
        describe_data(facts, dataset, Console(markup=False))


@app.command()
def describe(
    architecture: Annotated[
        str, typer.Argument(help="a name such as resnet50, or timm:NAME", metavar="ARCHITECTURE", show_default=False)
    ] = "",
    freeze_depth: Annotated[int, typer.Option(help="stages frozen, 0 to 5", min=0, max=5, metavar="K")] = 0,
    image_size: Annotated[int, typer.Option(help="side of the images in pixels", min=32, max=1024, metavar="S")] = 224,
    all_of: Annotated[
        Path | None, typer.Option("--all-of", help="try every network of a file, a name a line", metavar="LIST")
    ] = None,
) -> None:
    """Show an architecture's stages, what is frozen, and its cost."""
    if (all_of is None) == (not architecture):
        raise ConfigError("needs an architecture, or --all-of with a file of names", "describe")
    if all_of is not None:
        from thaw.search.families import describe_all

        if not describe_all(all_of, Console(markup=False)):
            raise typer.Exit(NOTHING_FINISHED)
        return
    from thaw.search.describe import describe_architecture

    describe_architecture(architecture, freeze_depth, image_size, Console(markup=False))


@app.command()
def export(
    run: RunArgument,
    to: To,
    trial: Annotated[
        int | None, typer.Option(help="a trial's number; the best one otherwise", min=0, metavar="N")
    ] = None,
    onnx: Onnx = False,
    refit: Annotated[bool, typer.Option("--refit", help="train on training and validation images together")] = False,
    target: Target = None,
    floor: Floor = 0.9,
    policy: Policy = None,
    k: AtMost = None,
    set_: Set = [],  # noqa: B006 - typer copies it
) -> None:
    """Write the best model as a bundle, scored on the test split."""
    from thaw.analysis.run import load_run
    from thaw.search.delivery.export import export_run
    from thaw.search.delivery.winner import LabelGoal

    outlive_the_terminal()
    goal, console = LabelGoal(target, policy, k, floor), Console(markup=False)
    with _training():
        export_run(load_run(run), to, console, trial=trial, onnx=onnx, refit=refit, goal=goal, overrides=set_)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(help="config.yaml of a bundle, or a search file", metavar="CONFIG.yaml")],
    to: To,
    onnx: Onnx = False,
    target: Target = None,
    floor: Floor = 0.9,
    policy: Policy = None,
    k: AtMost = None,
    set_: Set = [],  # noqa: B006 - typer copies it
) -> None:
    """Train one configuration without a search, into a bundle."""
    from thaw.search.delivery.train import train_config
    from thaw.search.delivery.winner import LabelGoal
    from thaw.search.settings.config import load_config

    outlive_the_terminal()
    with _training(), _naming(config):
        goal = LabelGoal(target, policy, k, floor)
        train_config(load_config(config, set_), to, Console(markup=False), onnx=onnx, goal=goal)


@app.command()
def predict(
    bundle: Annotated[Path, typer.Argument(help="a folder that export or train made", metavar="BUNDLE")],
    images: Annotated[
        list[str],
        typer.Argument(help="folders, patterns, image files, or text files with a path a line", metavar="IMAGES"),
    ],
    to: Annotated[Path, typer.Option("--to", help="a new file; - is standard output", metavar="FILE.csv")],
    format: Annotated[str, typer.Option(help="probabilities, or paper: as its label file", metavar="NAME")] = (
        "probabilities"
    ),
    policy: Annotated[
        str | None,
        typer.Option(help="threshold, never_empty, at_most or exactly_one, not the bundle's", metavar="NAME"),
    ] = None,
    k: AtMost = None,
    threshold: Annotated[
        float | None, typer.Option(help="one threshold for all labels, instead of the bundle's", metavar="P")
    ] = None,
    top_k: Annotated[
        int | None, typer.Option(help="the K most probable labels, whatever their probabilities", min=1, metavar="K")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="images that the network takes at a time", min=1, metavar="N")
    ] = None,
) -> None:
    """Predict the labels of images."""
    from thaw.search.predict import LabelChoice
    from thaw.search.predict import predict as predict_to

    on_standard_output = str(to) == "-"
    if not on_standard_output:
        outlive_the_terminal()
    console = Console(markup=False, stderr=on_standard_output)
    choice = LabelChoice(policy, k, threshold, top_k)
    if not predict_to(bundle, images, None if on_standard_output else to, format, console, choice, batch):
        raise typer.Exit(NOTHING_FINISHED)
