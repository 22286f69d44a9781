"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from thaw.search.backends import BACKENDS
from thaw.search.import_files import import_files

File = Annotated[Path, typer.Argument(help="a search file (YAML)", metavar="FILE")]
RunArgument = Annotated[Path, typer.Argument(help="a run folder, such as results/NAME", metavar="RUN")]
To = Annotated[Path, typer.Option("--to", help="a new folder for the model", metavar="BUNDLE")]
Onnx = Annotated[bool, typer.Option("--onnx", help="add model.onnx")]
Target = Annotated[
    str | None,
    typer.Option(
        help="what thresholds optimise: f1_macro, f1_micro, inclusion_accuracy, precision; default: suits the metric",
        metavar="NAME",
    ),
]
Floor = Annotated[float, typer.Option(help="minimum precision of each label, for --target precision", metavar="SHARE")]
Policy = Annotated[
    str | None,
    typer.Option(
        help="threshold, never_empty, at_most or exactly_one, which is the default if images have one label each",
        metavar="NAME",
    ),
]
AtMost = Annotated[int | None, typer.Option("--k", help="labels per image, for --policy at_most", min=1, metavar="K")]
Set = Annotated[
    list[str], typer.Option("--set", help="replace a key of the file, as in search.trials=10", metavar="KEY=VALUE")
]

From = Annotated[
    list[Path],
    typer.Option("--from", help="learn from the trials of this run, which is on the same data", metavar="RUN"),
]

Import = Annotated[
    list[Path],
    typer.Option(
        "--import",
        help="run this Python file first, to register your own networks and data",
        metavar="FILE.py",
        is_eager=True,
        callback=import_files,
    ),
]

Address = Annotated[
    str | None, typer.Option(help="auto, or HOST:PORT: join this Ray cluster, from one of its nodes", metavar="ADDR")
]

Backend = Annotated[
    str,
    typer.Option(
        "--backend",
        help="ray; local: in processes of this machine, without a GPU, on Linux; inline: in this process",
        metavar="NAME",
        autocompletion=lambda: list(BACKENDS),
    ),
]
