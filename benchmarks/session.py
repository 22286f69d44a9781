"""Ray for benchmarks: its workers import this clone's packages, which are not installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thaw.search.backends.ray import session

CLONE = Path(__file__).resolve().parent.parent


@contextmanager
def running_ray(workers: int) -> Iterator[None]:
    """Ray as a search starts it (`thaw.search.backends.ray.session.running_ray`), for functions of this clone, too."""
    with clone_importable(), session.running_ray(workers):
        yield


@contextmanager
def clone_importable() -> Iterator[None]:
    """A context in which new processes can import ``benchmarks`` and ``tests``, whatever the current folder is."""
    given = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(CLONE), given] if given else [str(CLONE)])
    try:
        yield
    finally:
        if given is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = given
