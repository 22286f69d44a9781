"""Processes, nodes and disks that fail for good, each in a search of its own; every test takes minutes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests import mounts
from tests.conftest import ROOT
from tests.search.test_cli import command
from tests.searches import check_whole, search_file
from thaw.analysis.run_folder import RunFolder

pytestmark = pytest.mark.slow

LIMIT = 300
"""Timeout for a process of these tests, in seconds."""

LONG: dict[str, Any] = {
    "space": {"learning_rate": {"log": [1e-4, 1e-2]}, "dropout": {"float": [0.0, 0.5]}},
    "training": {"epochs": 5, "patience": 0},
    "search": {"algorithm": "random", "trials": 24},
    "scheduler": {"type": "asha", "reduction_factor": 2},
}


def epochs(folder: RunFolder) -> int:
    return sum(event["event"] == "epoch" for event in folder.events()) if folder.events_file.exists() else 0


def wait(process: subprocess.Popen[str], folder: RunFolder, least: int) -> None:
    deadline = time.monotonic() + LIMIT
    while process.poll() is None and epochs(folder) < least:
        assert time.monotonic() < deadline, "the search did not come so far"
        time.sleep(0.05)


@pytest.fixture
def start() -> Iterator[Any]:
    """Start processes that, with their children, end with the test."""
    started: list[psutil.Process] = []

    def begin(arguments: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        started.append(psutil.Process(process.pid))
        return process

    yield begin
    for process in started:
        if process.is_running():
            for child in process.children(recursive=True):
                child.kill()
            process.kill()


@pytest.mark.parametrize("backend", ["ray", "local"])
@pytest.mark.parametrize("kills", [3, pytest.param(10, marks=pytest.mark.soak)])
def test_the_driver_is_killed_again_and_again(
    kills: int, backend: str, start: Any, tmp_path: Path, squares: Path, cache: Path
) -> None:
    # More trials than the kills leave time for, also on a fast machine.
    trials = 6 * kills
    search = {"algorithm": "random", "trials": trials}
    file = search_file(tmp_path, squares, cache, **{**LONG, "search": search})
    folder = RunFolder(tmp_path / "results" / "squares")
    rng = random.Random(0)
    arguments: tuple[object, ...] = ("search", file, "--backend", backend)
    orphans: list[psutil.Process] = []
    recovered = []
    for number in range(kills):
        before, began = epochs(folder), time.monotonic()
        process = start(command(*arguments))
        wait(process, folder, before + 1)
        recovered.append(time.monotonic() - began)
        wait(process, folder, before + rng.randint(1, 4))
        time.sleep(rng.uniform(0, 0.5))
        assert process.poll() is None, process.stdout.read()
        if number == kills // 2:
            second = subprocess.run(
                command("resume", folder.path), cwd=ROOT, capture_output=True, text=True, timeout=LIMIT
            )
            assert (
                second.returncode == 2 and f"another process drives this run (process {process.pid} " in second.stderr
            )
        orphans += psutil.Process(process.pid).children(recursive=True)
        process.send_signal(signal.SIGKILL)
        process.wait()
        arguments = ("resume", folder.path, "--backend", backend)
    process = start(command(*arguments))
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, output
    run = check_whole(folder)
    assert len(run.records) == trials and all(record.ended for record in run.records.values())
    assert not psutil.wait_procs(orphans, timeout=60)[1], "processes survive their driver"
    print(f"seconds from start to the first new epoch: {[round(seconds, 1) for seconds in recovered]}")


@pytest.mark.alone
def test_a_node_is_lost(start: Any, tmp_path: Path, squares: Path, cache: Path) -> None:
    sections = {**LONG, "search": {"algorithm": "random", "trials": 4, "concurrency": 2}, "scheduler": {"type": "none"}}
    file = search_file(tmp_path, squares, cache, **{**sections, "training": {"epochs": 40, "patience": 0}})
    process = start([sys.executable, "-m", "tests.cluster_search", str(file), "--kill", "training"])
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, output
    run = check_whole(RunFolder(tmp_path / "results" / "squares"))
    assert list(run.trials["status"]) == ["completed"] * 4
    events = list(run.folder.events())
    [pause] = [event for event in events if event["event"] == "trial_paused"]
    assert pause["status"] == "interrupted" and f"kill {pause['trial']} " in output
    killed = float(output.split(f"kill {pause['trial']} ")[1].split()[0])
    again = next(
        e["time"]
        for e in events
        if e["event"] == "epoch" and e["trial"] == pause["trial"] and e["time"] > pause["time"]
    )
    print(f"seconds from the kill to the trial's next epoch: {again - killed:.1f}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MB."""
    with mounts.small_disk(tmp_path / "results", "24m") as place:
        yield place


def test_the_disk_is_full(start: Any, small_disk: Path, tmp_path: Path, squares: Path, cache: Path) -> None:
    file = search_file(tmp_path, squares, cache, **LONG)
    folder = RunFolder(small_disk / "squares")
    process = start(command("search", file))
    wait(process, folder, 3)
    deadline = time.monotonic() + LIMIT
    with (small_disk / "filling").open("wb", buffering=0) as filling:
        # Again and again, as a checkpoint that could not be written leaves room for many lines of the log.
        while process.poll() is None and time.monotonic() < deadline:
            with suppress(OSError):
                while filling.write(bytes(4096)):
                    pass
            time.sleep(0.02)
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 1 and "Traceback" not in output, output
    assert (
        "events.jsonl cannot be written: No space left on device; make room, then continue with `thaw resume" in output
    )
    os.unlink(small_disk / "filling")
    process = start(command("resume", folder.path))
    output, _ = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, output
    run = check_whole(folder)
    assert len(run.records) == 24 and all(record.ended for record in run.records.values())
