"""Record the results of every configuration of a grid after every epoch, to replay searches without training.

python -m benchmarks.table --data photos --labels 5 17 --weights mobilenet_v2.pth --output benchmarks/tables/photos.csv

Cheap configurations come first, so an unfinished table is complete down to some freeze depth. An existing table is
continued: a configuration is written in one piece once it has all its epochs. A JSON file next to the table describes
what was recorded, and on which machine.

Columns: `seed`, the searched hyperparameters, `epoch`, every validation metric, wall seconds by phase as in the event
log (`prefix` is paid by the first configuration of an architecture and depth), and `processor`, the epoch's processor
seconds, which are less affected by other work on the machine.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch

from benchmarks.machine import machine
from benchmarks.photos import add_options, bench
from thaw.search.prepare.preflight import prepare
from thaw.search.settings.config import SearchConfig
from thaw.spaces import METRICS, Value
from thaw.trainables.context import RunContext
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.messages import Failure
from thaw.trainables.training.loop import Training, train

SPACE: dict[str, list[Any]] = {
    "architecture": ["mobilenet_v2", "efficientnet_lite0"],
    "freeze_depth": [5, 4, 3, 2, 1, 0],
    "learning_rate": [1e-4, 3.2e-4, 1e-3, 3.2e-3, 1e-2],
    "dropout": [0.0, 0.4],
    "backbone_lr_scale": [0.1, 1.0],
}

COLUMNS = [f"val_{name}" for name in METRICS]
SECONDS = ["prefix", "train", "validate"]
REPEATED = 10
"""Every tenth configuration is also recorded with a second seed, to measure the noise."""

Cell = tuple[int, dict[str, Value]]
"""Seed and searched hyperparameters."""


def with_labels(folder: Path, labels: Sequence[str], work: Path) -> Path:
    """A folder with the images that have any of these labels; their other labels are dropped."""
    table = pd.read_csv(folder / "labels.csv", dtype=str, usecols=["filename", "labels"])
    table["labels"] = [" ".join(label for label in text.split() if label in labels) for text in table["labels"]]
    target = work / "labels"
    target.mkdir()
    (target / "images").symlink_to(folder.resolve() / "images")
    table[table["labels"] != ""].to_csv(target / "labels.csv", index=False)
    return target


def order_of(config: SearchConfig) -> Iterator[Cell]:
    """The recorded cells, from the head alone to the whole network; each depth ends with its repetitions."""
    cells = config.search_space.grid()
    seed = config.search.seed
    for depth in SPACE["freeze_depth"]:
        level = [values for values in cells if values["freeze_depth"] == depth]
        yield from ((seed, values) for values in level)
        yield from ((seed + 1, values) for values in level[depth % REPEATED :: REPEATED])


def rows_of(cell: Cell, config: SearchConfig, context: RunContext, images: ImageStore) -> list[dict[str, Any]]:
    """Train one configuration; one row per epoch. If the loss diverges, the last row has no metrics."""
    seed, values = cell
    trial = config.search_space.config(values)
    rows: list[dict[str, Any]] = []
    before = time.process_time()
    for outcome in train(Training(trial, replace(context, seed=seed), images, torch.device("cpu"))):
        now = time.process_time()
        row = {"seed": seed, **{name: getattr(trial, name) for name in SPACE}}
        if isinstance(outcome, Failure):
            return [*rows, {**row, "epoch": outcome.epoch}]
        metrics = {name: round(outcome.metrics[name], 5) for name in COLUMNS if name in outcome.metrics}
        seconds = {name: round(outcome.seconds[name], 3) for name in SECONDS}
        rows.append({**row, "epoch": outcome.epoch, **metrics, **seconds, "processor": round(now - before, 3)})
        before = now
    return rows


def append(file: Path, rows: list[dict[str, Any]]) -> None:
    """Append rows to the table in one write, so that it holds all epochs of a configuration or none."""
    new = not file.exists()
    columns = ["seed", *SPACE, "epoch", *COLUMNS, *SECONDS, "processor"] if new else list(pd.read_csv(file, nrows=0))
    text = pd.DataFrame(rows, columns=columns).to_csv(index=False, header=new)
    with file.open("ab", buffering=0) as table:
        table.write(text.encode())


def done(file: Path) -> set[tuple[Any, ...]]:
    """The keys of the configurations in the table."""
    if not file.exists():
        return set()
    return set(pd.read_csv(file)[["seed", *SPACE]].itertuples(index=False, name=None))


def main(arguments: Sequence[str] | None = None) -> None:
    """Record the table, or its missing part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, images=600)
    parser.add_argument("--labels", nargs="+", help="use only images with one of these labels, and drop other labels")
    parser.add_argument("--epochs", type=int, default=8, help="epochs per configuration (default: %(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="images per step (default: %(default)s)")
    parser.add_argument("--dropout", type=float, nargs="+", help=f"(default: {SPACE['dropout']})")
    parser.add_argument("--deepest", type=int, default=0, help="stop after this freeze depth (default: %(default)s)")
    parser.add_argument("--output", type=Path, required=True, help="the table, a CSV file")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        if options.labels:
            options.data = str(with_labels(Path(options.data), options.labels, work))
        setting = bench(options, work)
        config = setting.config(
            "table",
            "table",
            data={"split": {"validation": 0.4, "test": 0.0, "seed": options.seed}},
            space={
                **SPACE,
                "freeze_depth": [depth for depth in SPACE["freeze_depth"] if depth >= options.deepest],
                "dropout": options.dropout or SPACE["dropout"],
            },
            training={"architecture": None, "epochs": options.epochs, "batch_size": options.batch_size},
        )
        torch.set_num_threads(1)
        context = prepare(config).context
        about = {
            "command": "python -m benchmarks.table " + " ".join(arguments or sys.argv[1:]),
            "seed": options.seed,
            "epochs": options.epochs,
            "images": {"training": len(context.split.train), "validation": len(context.split.validation)},
            "machine": machine(),
        }
        options.output.with_suffix(".json").write_text(json.dumps(about, indent=2) + "\n")
        present, images = done(options.output), context.open_images()
        for seed, values in order_of(config):
            trial = config.search_space.config(values)
            if (seed, *(getattr(trial, name) for name in SPACE)) not in present:
                append(options.output, rows_of((seed, values), config, context, images))


if __name__ == "__main__":
    main()
