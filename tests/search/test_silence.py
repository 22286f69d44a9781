"""What a command says on a terminal while it works: never nothing for long."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import pytest

from benchmarks.terminal import record
from tests.searches import search_file

SILENCE = 2.0
"""Seconds without a word, on a machine that has nothing else to do."""


def waiting() -> float:
    """How many times longer than its own work a computation takes here and now, because of others."""
    began, worked = time.monotonic(), time.process_time()
    while time.process_time() - worked < 0.5:
        sum(range(10_000))
    return (time.monotonic() - began) / (time.process_time() - worked)


@pytest.mark.slow
@pytest.mark.ray
def test_a_search_is_never_silent_for_long(tmp_path: Path, squares: Path) -> None:
    """From a cold start to the prompt, with Ray."""
    file = search_file(tmp_path, squares, tmp_path / "cache")
    before = waiting()
    recording = record([sys.executable, "-m", "thaw", "search", str(file)], width=80)
    patience = SILENCE * max(before, waiting())
    assert recording.status == 0
    assert recording.silences()[0][0] < patience, recording.silences()[:5]
