"""The commands that create and use models. Each imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from thaw.search.cli.options import AtMost, Floor, Import, Onnx, Policy, Set, Target, To
from thaw.search.exit_status import NOTHING_FINISHED, naming, training
from thaw.search.prepare.stages import aside, loading
from thaw.search.terminal import outlive_the_terminal
from thaw.spaces import ConfigError


def export(
    run: Annotated[
        Path, typer.Argument(help="a run folder, such as results/NAME; for --format timm also a bundle", metavar="RUN")
    ],
    to: To,
    trial: Annotated[
        int | None,
        typer.Option(
            help="number of a trial; default: the one that thaw confirm chose, else the best", min=0, metavar="N"
        ),
    ] = None,
    format: Annotated[
        str, typer.Option(help="bundle, or timm: a folder for timm and Hugging Face", metavar="NAME")
    ] = "bundle",
    onnx: Onnx = False,
    refit: Annotated[bool, typer.Option("--refit", help="train on training and validation images together")] = False,
    target: Target = None,
    floor: Floor = 0.9,
    policy: Policy = None,
    k: AtMost = None,
    set_: Set = [],  # noqa: B006 - typer copies it
    import_: Import = [],  # noqa: B006 - typer copies it
) -> None:
    """Write the best model as a bundle, scored on the test split."""
    outlive_the_terminal()
    console = Console(markup=False)
    with loading(console):
        from thaw.analysis.run import load_run
        from thaw.search.delivery.export import export_run
        from thaw.search.delivery.timm_folder import bundle_to_timm, is_bundle
        from thaw.search.delivery.winner import LabelGoal

    if format == "timm" and is_bundle(run):
        given = {"--trial": trial is not None, "--onnx": onnx, "--refit": refit, "--target": target, "--policy": policy}
        for option, value in {**given, "--k": k, "--set": set_}.items():
            if value:
                rule = "is for a run, and this is a finished model"
                raise ConfigError(f"{rule}; leave it out, or name the run", option, run)
        bundle_to_timm(run, to, console)
        return
    goal = LabelGoal(target, policy, k, floor)
    with training():
        export_run(
            load_run(run),
            to,
            console,
            trial=trial,
            format=format,
            onnx=onnx,
            refit=refit,
            goal=goal,
            overrides=set_,
        )


def train(
    config: Annotated[Path, typer.Argument(help="config.yaml of a bundle, or a search file", metavar="CONFIG.yaml")],
    to: To,
    onnx: Onnx = False,
    target: Target = None,
    floor: Floor = 0.9,
    policy: Policy = None,
    k: AtMost = None,
    set_: Set = [],  # noqa: B006 - typer copies it
    import_: Import = [],  # noqa: B006 - typer copies it
) -> None:
    """Train one configuration without a search, into a bundle."""
    outlive_the_terminal()
    console = Console(markup=False)
    with loading(console):
        from thaw.search.delivery.train import train_config
        from thaw.search.delivery.winner import LabelGoal
        from thaw.search.settings.config import load_config

    goal = LabelGoal(target, policy, k, floor)
    with training(), naming(config):
        train_config(load_config(config, set_), to, console, onnx=onnx, goal=goal)


def predict(
    bundle: Annotated[Path, typer.Argument(help="a folder written by export or train", metavar="BUNDLE")],
    images: Annotated[
        list[str],
        typer.Argument(help="folders, patterns, image files, or text files with one path per line", metavar="IMAGES"),
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
    batch: Annotated[int | None, typer.Option(help="images per forward pass", min=1, metavar="N")] = None,
    import_: Import = [],  # noqa: B006 - typer copies it
) -> None:
    """Predict the labels of images."""
    with aside("loading PyTorch"):
        from thaw.search.predict import LabelChoice
        from thaw.search.predict import predict as predict_to

    on_standard_output = str(to) == "-"
    if not on_standard_output:
        outlive_the_terminal()
    console = Console(markup=False, stderr=on_standard_output)
    choice = LabelChoice(policy, k, threshold, top_k)
    if not predict_to(bundle, images, None if on_standard_output else to, format, console, choice, batch):
        raise typer.Exit(NOTHING_FINISHED)
