"""What a command says on a terminal while it works: never nothing for long."""

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
"""Seconds without a word, on a machine that has nothing else to do."""


def waiting(over: threading.Event) -> float:
    """How many times longer than its own work a computation takes at most, until something is over."""
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
    """From a cold start to the prompt, with Ray. What a machine does once, beside us, a second search does not show."""
    for attempt in ("first", "second"):
        place = tmp_path / attempt
        place.mkdir()
        silence, patience = longest_silence(search_file(place, squares, place / "cache"))
        if silence < patience:
            return
    pytest.fail(f"twice without a word for long, at last for {silence:.1f} s, more than {patience:.1f}")


def longest_silence(file: Path) -> tuple[float, float]:
    """The longest time without a word of a search, and what is allowed on a machine as busy as it was."""
    over = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        worst = pool.submit(waiting, over)
        try:
            recording = record([sys.executable, "-m", "thaw", "search", str(file)], width=80)
        finally:
            over.set()
    assert recording.status == 0
    print(recording.silences()[:5])
    return recording.silences()[0][0], SILENCE * worst.result()
