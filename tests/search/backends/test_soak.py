"""A thousand trials while workers are killed: all are accounted for, and memory and time per trial stay bounded."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.searches import check_whole, small_config
from thaw.analysis.records import FINISHED
from thaw.analysis.run_folder import RunFolder
from thaw.search.sessions.tuner import run_search

TRIALS = int(os.environ.get("THAW_SOAK_TRIALS", "1000"))
MEMORY = 30_000
"""The maximum growth of the driver per trial, in bytes."""

SLOWER = 1.2
"""The maximum processor time of the last tenth of the trials, relative to the first tenth."""


class Watch(threading.Thread):
    """Kills a worker at a random moment in each tenth of the trials, and records memory and time after it."""

    def __init__(self, folder: RunFolder) -> None:
        super().__init__(daemon=True)
        self.folder, self.rng = folder, random.Random(0)
        self.driver = psutil.Process()
        self.killed: list[int] = []
        self.cpu: dict[psutil.Process, float] = {}
        self.tenths: list[dict[str, float]] = []

    def run(self) -> None:
        tenth, ended, worker, position = TRIALS // 10, 0, "", 0
        kill_at = self.rng.randrange(1, tenth)
        while len(self.tenths) < 11:
            time.sleep(0.02)
            if not self.folder.events_file.exists():
                continue
            with self.folder.events_file.open("rb") as file:
                file.seek(position)
                lines = file.readlines()
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                position += len(line)
                if b'"event":"trial_started"' in line and not self.tenths:
                    self.note()
                if b'"worker":"' in line:
                    worker = line.split(b'"worker":"')[1].split(b'"')[0].decode()
                ended += b'"event":"trial_ended"' in line
            if ended >= kill_at and worker and len(self.killed) < 10:
                self.look()
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(worker.rpartition(":")[2]), signal.SIGKILL)
                self.killed.append(ended)
                kill_at = len(self.killed) * tenth + self.rng.randrange(1, tenth)
            while len(self.tenths) <= ended // tenth and self.tenths:
                self.note()

    def note(self) -> None:
        self.look()
        memory = self.driver.memory_full_info().uss
        self.tenths.append({"wall": time.monotonic(), "cpu": sum(self.cpu.values()), "memory": float(memory)})

    def look(self) -> None:
        """Remember each process's time, for those that die."""
        for process in [self.driver, *self.driver.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                self.cpu[process] = times.user + times.system


@pytest.mark.soak
@pytest.mark.usefixtures("ray_session")
def test_a_thousand_trials(tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path) -> None:
    sections: dict[str, Any] = {
        "weights": {"resnet18": str(resnet18_file)},
        "space": {
            "learning_rate": {"log": [1e-4, 1e-1]},
            "weight_decay": {"log": [1e-6, 1e-2]},
            "dropout": {"float": [0.0, 0.7]},
        },
        "training": {"architecture": "resnet18", "freeze_depth": 5, "epochs": 3},
        "search": {"algorithm": "tpe", "trials": TRIALS, "concurrency": 2},
        "scheduler": {"type": "asha", "grace_period": 1, "reduction_factor": 3},
    }
    watch = Watch(RunFolder(tmp_path / "results" / "squares"))
    watch.start()
    run_search(small_config(tmp_path, squares, cache, **sections))
    watch.join(timeout=60)
    run = check_whole(watch.folder)
    assert len(run.records) == TRIALS and all(record.status in FINISHED for record in run.records.values())
    lost = sum(record.failures for record in run.records.values())
    assert len(watch.killed) == 10 and lost >= 8, "a worker killed between two trials costs none"
    marks = watch.tenths
    growth = (marks[10]["memory"] - marks[1]["memory"]) / (0.9 * TRIALS)
    print(f"\n{TRIALS} trials, {len(watch.killed)} workers killed, {lost} trials went on after it")
    first, end = (marks[tenth]["memory"] / 1e6 for tenth in (1, 10))
    print(f"driver: {first:.0f} MB after the first tenth, {end:.0f} MB at the end: {growth / 1e3:.1f} kB a trial")
    seconds = {
        name: [later[name] - earlier[name] for earlier, later in itertools.pairwise(marks)] for name in ("wall", "cpu")
    }
    for name, tenths in seconds.items():
        print(f"{name} s by tenths: {[round(value, 1) for value in tenths]}; last / first {tenths[-1] / tenths[0]:.2f}")
    assert growth < MEMORY
    assert seconds["cpu"][-1] <= SLOWER * seconds["cpu"][0]
