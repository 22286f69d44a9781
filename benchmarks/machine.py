"""Description of the machine, resource usage of a run, and tables of figures."""

from __future__ import annotations

import os
import platform
import threading
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

WORKER = "ray::"
"""Prefix of the process names of Ray's workers."""


def machine() -> dict[str, Any]:
    """The machine that the figures were measured on, and its load."""
    # Imported here, so that processes that only measure themselves stay light.
    import torch

    from thaw.search.prepare.provenance import PACKAGES

    cpuinfo = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.partition(":")[2].strip() for line in cpuinfo if line.startswith("model name")]
    return {
        "processor": names[0] if names else platform.processor(),
        "cpus": len(os.sched_getaffinity(0)),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "gpus": [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())],
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


class Usage:
    """Wall time, processor time and peak memory of this process and its descendants within a ``with`` block.

    Ray is started by this process, so its workers are descendants. Processes are sampled every `interval` seconds: one
    that ends may have used up to that much time unseen, which favours programs that start many processes.

    Attributes:
        wall, cpu: seconds; cpu is the user and system time of all processes.
        driver_mb, worker_mb: peak private memory of this process, and of any single Ray worker, in MB: pages that
            belong to no file and are not shared through a mapping (resident minus shared).
        driver_uss_mb, worker_uss_mb: peak unique set size (USS), which also counts pages of a mapped file that only one
            process has mapped. Only with `memory`, since the kernel walks all pages for it.
    """

    def __init__(self, interval: float = 0.25, memory: bool = False) -> None:
        self.interval, self.memory = interval, memory
        self.wall = self.cpu = 0.0
        self.driver_mb = self.worker_mb = self.driver_uss_mb = self.worker_uss_mb = 0.0
        self._used: dict[psutil.Process, float] = {}
        self._before: dict[psutil.Process, float] = {}
        self._over = threading.Event()

    def __enter__(self) -> Usage:
        self._sample()
        self._before = dict(self._used)
        self._started = time.perf_counter()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.wall = time.perf_counter() - self._started
        self._over.set()
        self._thread.join()
        self.cpu = self._processor_seconds()

    def so_far(self) -> tuple[float, float]:
        """Wall and processor seconds since the block began."""
        return time.perf_counter() - self._started, self._processor_seconds()

    def _processor_seconds(self) -> float:
        self._sample()
        return sum(used - self._before.get(process, 0.0) for process, used in list(self._used.items()))

    def _watch(self) -> None:
        while not self._over.wait(self.interval):
            self._sample()

    def _sample(self) -> None:
        driver = psutil.Process()
        for process in (driver, *driver.children(recursive=True)):
            try:
                times = process.cpu_times()
                self._used[process] = times.user + times.system
                if process == driver:
                    self._measure_memory(process, "driver")
                elif (process.cmdline() or [""])[0].startswith(WORKER):
                    self._measure_memory(process, "worker")
            except psutil.Error:
                continue  # it has just ended

    def _measure_memory(self, process: psutil.Process, kind: str) -> None:
        usage = process.memory_info()
        figures = {f"{kind}_mb": usage.rss - usage.shared}
        if self.memory:
            figures[f"{kind}_uss_mb"] = process.memory_full_info().uss
        for name, figure in figures.items():
            setattr(self, name, max(getattr(self, name), figure / 1e6))


def cell(value: object) -> str:
    """A figure with a sensible number of digits."""
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    digits = 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 4 if value else 0
    return f"{value:.{digits}f}"


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table that is readable in a terminal and valid Markdown; the first column is left-aligned."""
    texts = [list(columns), *([cell(value) for value in row] for row in rows)]
    widths = [max(len(row[number]) for row in texts) for number in range(len(columns))]

    def line(row: Sequence[str]) -> str:
        first = f"{row[0]:<{widths[0]}}"
        return f"| {' | '.join([first, *(f'{text:>{w}}' for text, w in zip(row[1:], widths[1:], strict=True))])} |"

    rule = "|".join(["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])])
    print(f"\n{title}\n\n{line(texts[0])}\n|{rule}|", *map(line, texts[1:]), sep="\n", flush=True)
