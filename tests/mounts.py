"""File systems that are small or read-only, for tests; they require the right to mount."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """An empty file system of `size`, such as ``24m``, at `place`."""
    place.mkdir()
    with _mounted(place, ["-t", "tmpfs", "-o", f"size={size}", "tmpfs"]):
        yield place


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Make `folder` read-only, even for root."""
    with _mounted(folder, ["--bind", str(folder)]):
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        yield folder


@contextmanager
def _mounted(place: Path, options: list[str]) -> Iterator[None]:
    if subprocess.run(["mount", *options, str(place)], capture_output=True).returncode:
        pytest.skip("no right to mount")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
