"""Runs a search on several Ray nodes of one machine, one of which may be killed. A script, run as a process.

With ``--disks FOLDER`` each node has a disk of its own: the cache directory of the search file is, for each node,
another folder below FOLDER. This requires the right to mount.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import ray
from ray._private.node import Node
from ray.cluster_utils import Cluster

from thaw.analysis.run_folder import RunFolder
from thaw.search.backends.ray import sharing
from thaw.search.backends.ray.session import set_environment
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import SearchConfig, load_config

NEW_MOUNTS = 0x00020000
"""CLONE_NEWNS: later mounts of this thread are visible only to it and its children."""


class PrintingLedger(sharing.RayLedger):
    """Appends the number of rows that a node has computed, and the seconds, to a file."""

    def hold(self, node: str, view: str, images: int, rows: np.ndarray, seconds: float | None) -> None:
        super().hold(node, view, images, rows, seconds)
        if seconds is not None:
            with Path(os.environ["THAW_TEST_COMPUTED"]).open("a") as file:
                file.write(f"{node} {len(rows)} {seconds}\n")


def own_disk(place: Path, disk: Path) -> None:
    """Mount `disk` at `place`, for the processes that this thread starts until the next call."""
    for folder in place, disk:
        folder.mkdir(parents=True, exist_ok=True)
    if ctypes.CDLL(None, use_errno=True).unshare(NEW_MOUNTS):
        raise OSError(ctypes.get_errno(), "no right to mount")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "--bind", str(disk), str(place)], check=True)


def nodes(cluster: Cluster, config: SearchConfig, number: int, disks: Path | None) -> Iterator[Node]:
    for index in range(number):
        if disks:
            own_disk(Path(config.cache.directory), disks / str(index))
        yield cluster.add_node(num_cpus=1)


def node_that_trains(folder: RunFolder, started: list[Node]) -> Node | None:
    """A node that trains the third epoch of a trial, but not the head."""
    for row in folder.events() if folder.events_file.exists() else ():
        if row["event"] == "epoch" and row["epoch"] >= 2:
            raylet = psutil.Process(int(row["worker"].rpartition(":")[2])).ppid()
            for node in started[1:]:
                if node.all_processes["raylet"][0].process.pid == raylet:
                    print(f"kill {row['trial']} {time.time()}", flush=True)
                    return node
    return None


def node_that_computes(disks: Path, started: list[Node]) -> Node | None:
    """A node with some rows on its disk, but not the head."""
    for index, node in list(enumerate(started))[1:]:
        for checks in (disks / str(index)).rglob("*.checks"):
            if np.fromfile(checks, np.uint64).any():
                print(f"kill {index} {time.time()}", flush=True)
                return node
    return None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--nodes", type=int, default=3)
    parser.add_argument("--disks", type=Path)
    parser.add_argument("--kill", choices=("training", "computing"))
    options = parser.parse_args()
    config = load_config(options.file, options.set)
    set_environment(2)
    # RayLedger must keep its name: a class that its module knows under another name is sent by value, in parts.
    start = sharing._on
    sharing._on = lambda node, kind, *arguments, **more: start(
        node, PrintingLedger if kind is sharing.RayLedger else kind, *arguments, **more
    )
    cluster = Cluster()
    started = list(nodes(cluster, config, options.nodes, options.disks))
    ray.init(address=cluster.address, log_to_driver=False)
    folder = RunFolder(Path(config.output) / config.name)
    choose: dict[str, Callable[[], Node | None]] = {
        "training": lambda: node_that_trains(folder, started),
        "computing": lambda: node_that_computes(options.disks, started),
    }

    def kill_a_node() -> None:
        while (node := choose[options.kill]()) is None:
            time.sleep(0.1)
        cluster.remove_node(node, allow_graceful=False)

    if options.kill:
        threading.Thread(target=kill_a_node, daemon=True).start()
    try:
        run_search(config)
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main()
