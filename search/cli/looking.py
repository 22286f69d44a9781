"""The commands that show data, networks and runs. Each imports what it needs when it runs."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from thaw.search.cli.options import File, Import, RunArgument, Set
from thaw.search.exit_status import NOTHING_FINISHED, naming
from thaw.search.prepare.stages import aside
from thaw.search.terminal import outlive_the_terminal
from thaw.spaces import ConfigError
from thaw.spaces.paths import expanded

if TYPE_CHECKING:
    pass


def data(
    file: File,
    set_: Set = [],  # noqa: B006 - typer copies it
    as_json: Annotated[bool, typer.Option("--json", help="print one JSON object instead of text")] = False,
    import_: Import = [],  # noqa: B006 - typer copies it
) -> None:
    """Show what a data set holds and how it was read. Only the labels are needed."""
    from thaw.search.describe_data import describe_data
    from thaw.search.prepare.data_set import data_facts, load_dataset
    from thaw.search.settings.config import load_config
    from thaw.trainables.data.image_store import sampled_grey

    with naming(file):
        config = load_config(file, set_)
        dataset = load_dataset(config)
        notes = sampled_grey(dataset.root, dataset.on_disk, config.data.white).notes()
        facts = data_facts(config, dataset, notes)
    if as_json:
        print(json.dumps(facts.to_dict(), ensure_ascii=False))
    else:
        describe_data(facts, dataset, Console(markup=False))


def show(
    file: File,
    to: Annotated[Path, typer.Option("--to", help="a new page", metavar="FILE.html")] = Path("photos.html"),
    set_: Set = [],  # noqa: B006 - typer copies it
    import_: Import = [],  # noqa: B006 - typer copies it
) -> None:
    """Show training images as the network sees them."""
    with aside("loading PyTorch"):
        from thaw.search.photos import show as write
        from thaw.search.settings.config import load_config

    with naming(file):
        write(load_config(file, set_), to, Console(markup=False))


def describe(
    architecture: Annotated[
        str, typer.Argument(help="a name such as resnet50, or timm:NAME", metavar="ARCHITECTURE", show_default=False)
    ] = "",
    freeze_depth: Annotated[int, typer.Option(help="stages frozen, 0 to 5", min=0, max=5, metavar="K")] = 0,
    image_size: Annotated[int, typer.Option(help="side of the images in pixels", min=32, max=1024, metavar="S")] = 224,
    all_of: Annotated[
        Path | None, typer.Option("--all-of", help="try every network of a file with one name per line", metavar="LIST")
    ] = None,
    import_: Import = [],  # noqa: B006 - typer copies it
) -> None:
    """Show an architecture's stages, what is frozen, and its cost."""
    if (all_of is None) == (not architecture):
        raise ConfigError("needs an architecture, or --all-of with a file of names", "describe")
    if all_of is not None:
        from thaw.search.families import describe_all

        if not describe_all(all_of, Console(markup=False)):
            raise typer.Exit(NOTHING_FINISHED)
        return
    with aside("loading PyTorch"):
        from thaw.search.describe import describe_architecture

    describe_architecture(architecture, freeze_depth, image_size, Console(markup=False))


def list_runs(
    folder: Annotated[Path, typer.Argument(help="a folder that holds run folders", metavar="[DIR]")] = Path("results"),
) -> None:
    """List runs with their state, best value and time."""
    from thaw.search.runs import print_runs

    print_runs(folder, Console(markup=False))


def cache(
    directory: Annotated[
        Path, typer.Argument(help="the folder of `cache.directory`", metavar="[DIR]", show_default="~/.cache/thaw")
    ] = Path("~/.cache/thaw"),
    clear: Annotated[bool, typer.Option("--clear", help="remove everything that no running search uses")] = False,
    keep: Annotated[
        str | None, typer.Option(help="remove the least recently used, down to a size such as 20GB", metavar="SIZE")
    ] = None,
) -> None:
    """Show what searches have stored on this machine, and free space."""
    from thaw.search.cache import show_cache
    from thaw.search.settings.units import size_in_bytes

    try:
        size = 0 if clear else None if keep is None else int(str(size_in_bytes(keep)))
    except ValueError as error:
        raise ConfigError(f"{error}, got {keep!r}", "--keep") from None
    show_cache(expanded(directory), Console(markup=False), size)


def best(
    run: RunArgument,
    list_: Annotated[
        bool, typer.Option("--list", help="a table of the trials on the Pareto front of several objectives")
    ] = False,
) -> None:
    """Print the best configuration as YAML."""
    from thaw.analysis.run import load_run
    from thaw.search.best import best_yaml, front_table

    loaded = load_run(run)
    text = best_yaml(loaded)
    if not text:
        print(f"{run}: no trial has finished yet", file=sys.stderr)
        raise typer.Exit(NOTHING_FINISHED)
    if list_:
        Console(markup=False).print(front_table(loaded))
    else:
        print(text, end="")


def report(
    runs: Annotated[list[Path], typer.Argument(help="run folders", metavar="RUN [RUN ...]")],
    output: Annotated[
        Path | None, typer.Option(help="folder of the page: RUN/report, for several runs ./report", metavar="DIR")
    ] = None,
    no_photos: Annotated[bool, typer.Option("--no-photos", help="keep photos out of the page")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="rewrite the page while the search runs")] = False,
    open_: Annotated[bool, typer.Option("--open", help="show the page in the browser")] = False,
    import_: Import = [],  # noqa: B006 - typer copies it
) -> None:
    """Write a page of plots and tables for one run or several."""
    outlive_the_terminal()
    shown: list[Path] = []

    def write(refresh: float | None = None) -> Path:
        with aside("drawing the page"):
            from thaw.analysis.report import write_report
            from thaw.analysis.run import load_run
            from thaw.search.photos import run_gallery

            loaded = [load_run(run) for run in runs]
            photos = [] if no_photos else [run_gallery(run) for run in loaded]
            return write_report(loaded, output, photos, refresh)

    def show_once(page: Path) -> None:
        if shown:
            return
        shown.append(page)
        print(page, flush=True)
        if open_:
            import webbrowser

            webbrowser.open(page.resolve().as_uri())

    if watch:
        from thaw.search.watch import watch as keep_writing

        keep_writing(runs, write, show_once)
    else:
        show_once(write())


def compare(
    runs: Annotated[list[Path], typer.Argument(help="run folders, two or more", metavar="RUN RUN [RUN ...]")],
    output: Annotated[Path, typer.Option(help="where the page goes", metavar="DIR")] = Path("report"),
) -> None:
    """Write a page that shows several runs side by side."""
    if len(runs) < 2:
        raise ConfigError(f"needs two run folders or more, got {len(runs)}; thaw report shows one", "RUN")
    report(runs, output)
