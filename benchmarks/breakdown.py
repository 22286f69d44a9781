"""Where the time of a whole search is spent."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.machine import print_table
from benchmarks.overhead import work
from benchmarks.photos import Bench
from thaw.analysis.run import load_run

STAMPED = """
import sys, time
import thaw.search.backends.ray.backend, thaw.search.observers.tensorboard, thaw.search.sessions.tuner
import thaw.trainables.trainable
from thaw.search.settings.config import load_config
from thaw.search.backends.ray.session import running_ray, set_environment
imported = time.time()
config = load_config(sys.argv[1])
set_environment(config.search.concurrency)
with running_ray(config.search.concurrency):
    started = time.time()
    thaw.search.sessions.tuner.run_search(config)
print(imported, started)
"""
"""A search that prints when its imports were done and when Ray was running; the rest is in its events."""


def breakdown(bench: Bench) -> dict[str, float]:
    """Where the time of a whole search is spent, from the start of its process to its end, with nothing decoded or
    stored before. Seconds are counted once per worker, so that they add up to workers x wall time."""
    config = bench.config(
        "breakdown",
        "breakdown",
        space={"learning_rate": [1e-4, 3e-4, 1e-3, 3e-3], "dropout": [0.0, 0.2, 0.4]},
        training={"freeze_depth": 5, "epochs": 8, "architecture": bench.architecture, "patience": 0},
    )
    before = time.time()
    command = [sys.executable, "-c", STAMPED, str(bench.work / "breakdown.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    after = time.time()
    imported, ray_started = map(float, done.stdout.split()[-2:])
    events = list(load_run(Path(config.output) / config.name).folder.events())
    rows = [event for event in events if event["event"] == "epoch"]
    begin, end = events[0]["time"], events[-1]["time"]
    workers = {row["worker"]: [other for other in rows if other["worker"] == row["worker"]] for row in rows}
    figures: dict[str, float] = {
        "imports of the driver": (imported - before) * len(workers),
        "start of Ray": (ray_started - imported) * len(workers),
        "checks, decoding": (begin - ray_started) * len(workers),
        "start of the workers and their imports": 0.0,
        **{phase: sum(row["seconds"][phase] for row in rows) for phase in rows[0]["seconds"]},
        "between epochs and trials": 0.0,
        "idle while others finish": 0.0,
        "end of Ray and of the driver": (after - end) * len(workers),
    }
    for own in workers.values():
        started, ended = own[0]["time"] - work(own[0]), own[-1]["time"]
        figures["start of the workers and their imports"] += started - begin
        figures["between epochs and trials"] += ended - started - sum(map(work, own))
        figures["idle while others finish"] += end - ended
    assert abs(sum(figures.values()) - (after - before) * len(workers)) < 0.01
    return {**figures, "wall": after - before, "workers": len(workers)}


def print_breakdown(figures: Mapping[str, float]) -> None:
    """Print the table, with the sum of all parts."""
    parts = dict(figures)
    wall, workers = parts.pop("wall"), parts.pop("workers")
    rows = [[name, value, f"{value / workers / wall:.1%}"] for name, value in parts.items()]
    rows.append(["all", sum(parts.values()), "100.0%"])
    title = " ".join((breakdown.__doc__ or "").split())
    print_table(f"{title} {wall:.1f} s, {workers} workers.", ["where", "seconds", "share"], rows)
