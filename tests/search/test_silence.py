"""A command never leaves its terminal silent for long."""

from __future__ import annotations

import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from benchmarks.terminal import record
from tests.searches import search_file

SILENCE = 2.0
"""The longest silence in seconds, on an otherwise idle machine."""


def waiting(over: threading.Event) -> float:
    """The largest ratio of wall time to processor time of a computation, measured until `over` is set."""
    worst = 1.0
    while not over.wait(0.5):
        began, worked = time.monotonic(), time.thread_time()
        while time.thread_time() - worked < 0.05:
            sum(range(10_000))
        worst = max(worst, (time.monotonic() - began) / (time.thread_time() - worked))
    return worst


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.ray
def test_a_search_is_never_silent_for_long(tmp_path: Path, squares: Path) -> None:
    """From a cold start to the prompt, with Ray."""
    file = search_file(tmp_path, squares, tmp_path / "cache")
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        worst = pool.submit(waiting, over)
        try:
            recording = record([sys.executable, "-m", "thaw", "search", str(file)], width=80)
        finally:
            over.set()
    patience = SILENCE * worst.result()
    assert recording.status == 0
    assert recording.silences()[0][0] < patience, recording.silences()[:5]
