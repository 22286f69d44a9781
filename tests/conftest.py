"""Fixtures of several test files: one Ray for the whole session, and a small set of real image files."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from thaw.__main__ import FEWER_COLLECTIONS

if TYPE_CHECKING:
    from thaw.analysis.run import Run
    from thaw.analysis.run_folder import RunFolder

# Two test processes share the machine, and on tensors this small, threads mostly wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# As the command does: imports and fixtures make millions of objects that stay.
gc.set_threshold(FEWER_COLLECTIONS)

# Property tests try the same examples each time, so that a change is judged by itself. `make test-soak` tries new ones.
REPEATABLE = settings(derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))
settings.register_profile("repeatable", REPEATABLE)
settings.register_profile("random", REPEATABLE, derandomize=False)
settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parent.parent
COLOURS = {"red": 0, "green": 1, "blue": 2}


def thaw_data() -> Path | None:
    """The folder of real photos, if this machine has one."""
    place = Path(os.environ.get("THAW_DATA", ROOT.parent / "shared" / "data"))
    return place if (place / "coco18" / "labels.csv").is_file() else None


needs_photos = pytest.mark.skipif(
    thaw_data() is None, reason="no real photos: set THAW_DATA to a folder with coco18/, see docs/development.md"
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests that share the session's Ray as `ray`, like those that start Ray in a process of their own."""
    for item in items:
        if "ray_session" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="session")
def ray_session() -> Iterator[None]:
    """Ray for all tests that search in this process; starting it takes seconds."""
    from benchmarks.session import running_ray
    from thaw.search.backends.ray.session import set_environment

    set_environment(concurrency=2)
    # Workers import the tests' stand-ins, too.
    with running_ray(2):
        yield


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Torch uses one thread, whatever an earlier search in this process has set."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def local_session() -> Iterator[None]:
    """One process from which the workers of all local searches are forked; its imports take seconds."""
    from benchmarks.session import clone_importable
    from thaw.search.backends.local.processes import starting_server

    # Workers import the tests' stand-ins, too.
    with clone_importable(), starting_server() as begin:
        begin(2)
        yield


@pytest.fixture(scope="session")
def squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """120 PNG files of noise with one or two coloured squares, and ``labels.csv`` that names the colours."""
    return write_squares(tmp_path_factory.mktemp("squares"), 120)


def write_squares(folder: Path, images: int) -> Path:
    """Write this number of PNG files, and their labels, into a folder."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    lines = ["filename,labels"]
    for number in range(images):
        pixels = rng.integers(0, 60, (32, 32, 3), dtype=np.uint8)
        present = rng.choice(list(COLOURS), size=1 + number % 2, replace=False)
        for name in present:
            top, left = rng.integers(0, 20, 2)
            pixels[top : top + 12, left : left + 12, COLOURS[name]] = 255
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        lines.append(f"{number}.png,{' '.join(sorted(present))}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of decoded images for all tests."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def grid(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path) -> Run:
    """A finished grid of four cells, two epochs each. Tests must not change it."""
    from tests.searches import small_search

    return small_search(tmp_path_factory.mktemp("grid"), squares, cache)


@pytest.fixture(scope="session")
def halving(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path) -> Run:
    """A finished search with ``searches.HALVING``. Tests must not change it."""
    from tests.searches import HALVING, small_search

    return small_search(tmp_path_factory.mktemp("halving"), squares, cache, **HALVING)


@pytest.fixture(scope="session")
def resnet18_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of a random resnet18: as good as pretrained ones where only equality counts."""
    import torch
    from torchvision import models

    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(models.resnet18(weights=None).state_dict(), file)
    return file


@pytest.fixture
def own_code() -> Iterator[Callable[[], None]]:
    """Forget the user's code that a test imports and registers; call it to do so within the test."""
    from thaw.search.import_files import PREFIX
    from thaw.trainables.data.source import SOURCES
    from thaw.trainables.networks.table import OWN

    def forget() -> None:
        OWN.clear()
        SOURCES.clear()
        for name in [name for name in sys.modules if name.startswith(PREFIX)]:
            del sys.modules[name]

    path = list(sys.path)
    forget()
    yield forget
    forget()
    sys.path[:] = path


@pytest.fixture
def stop_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[RunFolder, int | None], None]:
    """Interrupt searches in a folder once the log holds this many epochs; None to stop interrupting."""
    from thaw.search.engine.interruption import SearchStopped, StopRequest

    def limit(folder: RunFolder, epochs: int | None) -> None:
        def check(request: StopRequest) -> None:
            if epochs is not None and sum(event["event"] == "epoch" for event in folder.events()) >= epochs:
                request.reason = "SIGTERM"
                raise SearchStopped("SIGTERM")

        monkeypatch.setattr(StopRequest, "check", check)

    return limit
