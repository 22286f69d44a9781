"""How cost grows with trials, images and views: time, processor time, private memory, and stored bytes.

python -m benchmarks.scale --data ../shared/data/coco18 --weights ../shared/weights/mobilenet_v2-imagenet.pth

Each line is a search in its own process, including the start of Ray, since processes rarely give memory back.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks.machine import Usage, machine, print_table
from benchmarks.photos import Bench, add_options, bench, repeated
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import load_config

COLUMNS = (
    *("wall s", "CPU s", "training s", "driver MB", "worker MB", "driver USS MB", "worker USS MB", "stored MB"),
    "val_map",
)
SEVERAL = {"learning_rate": [1e-3], "dropout": [0.0, 0.3]}
MEMORY = (32_000, 224)
"""Images and their side length in pixels for which the driver and each worker have a memory limit of 1.5 GB."""

Row = list[Any]


def measure(file: Path) -> Row:
    """Run the search of a file in this process; returns the figures of `COLUMNS`."""
    config = load_config(file)
    with Usage(interval=0.5, memory=True) as usage:
        run = run_search(config)
    if run.best is None:
        raise RuntimeError(f"no trial of {file} finished; see {run.folder.trials_file}")
    training = sum(record.seconds for record in run.records.values())
    memory = [usage.driver_mb, usage.worker_mb, usage.driver_uss_mb, usage.worker_uss_mb]
    stored = sum(entry.stat().st_blocks * 512 for entry in Path(config.cache.directory).rglob("*") if entry.is_file())
    return [usage.wall, usage.cpu, training, *memory, stored / 1e6, max(run.best.values(run.metric).values())]


def search(bench: Bench, name: str, cache: str, **sections: Any) -> Row:
    """One line: a search of head trials in a fresh process."""
    training = {"freeze_depth": 5, "architecture": bench.architecture, "patience": 0, **sections.pop("training", {})}
    bench.config(name, cache, training=training, **sections)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(measure, bench.work / f"{name}.yaml").result()


def trials(bench: Bench, quick: bool) -> list[Row]:
    """Trials of one epoch; all but the first use stored activations."""
    rows = []
    for count in (1, 10) if quick else (1, 10, 100, 1000):
        settings = {"algorithm": "random", "trials": count}
        space = {"learning_rate": {"log": [1e-5, 1e-2]}, "dropout": {"float": [0.0, 0.5]}}
        row = search(bench, f"trials-{count}", "trials", space=space, search=settings, training={"epochs": 1})
        rows.append([count, *row])
    return rows


def images(bench: Bench, quick: bool) -> list[Row]:
    """More and more images, repeated under new names: first with nothing decoded or stored, then with everything."""
    rows = []
    for times in (1, 2) if quick else (1, 3, 10, 30):
        folder = repeated(bench.data, None, times, bench.work / "images")
        data = {"images": str(folder / "images"), "labels": str(folder / "labels.csv")}
        for state in ("cold", "warm"):
            name = f"images-{times}-{state}"
            row = search(bench, name, f"images-{times}", space=SEVERAL, data=data, training={"epochs": 2})
            rows.append([f"{times} x, {state}", *row])
    return rows


def views(bench: Bench, quick: bool) -> list[Row]:
    """Views of the training images over 8 epochs, view = epoch mod views; nothing is decoded or stored before."""
    epochs = 2 if quick else 8
    rows = []
    for count in (1, 2) if quick else (1, 2, 4, 8):
        data = {"augment": "paper", "views": count}
        name = f"views-{count}"
        rows.append([count, *search(bench, name, name, space=SEVERAL, data=data, training={"epochs": epochs})])
    return rows


def memory(bench: Bench, quick: bool) -> list[Row]:
    """Memory with many images of 224 pixels, where each head trial reads all stored activations."""
    requested, size = MEMORY if not quick else (400, 64)
    available = len(list((bench.data / "images").iterdir()))
    times = -(-requested // available)
    folder, count = repeated(bench.data, None, times, bench.work / "memory"), available * times
    data = {"images": str(folder / "images"), "labels": str(folder / "labels.csv"), "image_size": size}
    name = f"memory-{count}"
    return [[f"{count} at {size}", *search(bench, name, name, space=SEVERAL, data=data, training={"epochs": 1})]]


TABLES = {"trials": trials, "images": images, "views": views, "memory": memory}


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark; returns all figures as JSON values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, images=1000)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES), help="default: all")
    parser.add_argument("--quick", action="store_true", help="small numbers, to test that it works")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="thaw-scale-") as temporary:
        common = bench(options, options.work or Path(temporary))
        report: dict[str, Any] = {"machine": machine(), "columns": COLUMNS}
        print_table("Machine", ["", ""], list(report["machine"].items()))
        for name in options.tables:
            report[name] = TABLES[name](common, options.quick)
            print_table(TABLES[name].__doc__ or "", [name, *COLUMNS], report[name])
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return report


if __name__ == "__main__":
    main()
