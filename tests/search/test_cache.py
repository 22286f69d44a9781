"""`thaw cache` lists stored files, and removes those that no search uses."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from tests.searches import small_search
from thaw.search.cache import readable, show_cache, stored
from thaw.search.cli import app
from thaw.search.summary import print_summary
from thaw.spaces import ConfigError
from thaw.trainables.data.in_use import IN_USE

HOLD = "import sys; from pathlib import Path; from thaw.trainables.data.in_use import hold; hold(Path(sys.argv[1])); "


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """Decoded images of 40 kB, used last, and activations of 20 and 80 kB, used an hour and two hours ago."""
    for place, size, age in (("images/images-a", 40, 0), ("activations/b", 20, 1), ("activations/c", 80, 2)):
        folder = tmp_path / place
        folder.mkdir(parents=True)
        (folder / "rows").write_bytes(os.urandom(size * 1024))
        (folder / IN_USE).touch()
        os.utime(folder / IN_USE, (time.time() - age * 3600,) * 2)
    (tmp_path / "activations" / "b" / "about.txt").write_text("resnet50 at freeze depth 4")
    with (tmp_path / "activations" / "b" / "hole").open("wb") as file:
        file.truncate(10**9)
    return tmp_path


def shown(directory: Path, keep: int | None = None) -> str:
    console = Console(record=True, width=200)
    show_cache(directory, console, keep)
    return console.export_text()


def test_everything_is_listed_by_last_use_and_holes_take_no_room(directory: Path) -> None:
    text = shown(directory)
    rows = [line for line in text.splitlines() if " ago " in line]
    assert [re.split(r"\s{2,}", row.strip())[0] for row in rows] == [
        "decoded images",
        "activations of resnet50 at freeze depth 4",
        "activations of an unnamed network",
    ]
    assert all(one.size < 100_000 for one in stored(directory))
    assert " 1 h ago" in text and " 2 h ago" in text


def test_the_least_recently_used_goes_first(directory: Path) -> None:
    total = sum(one.size for one in stored(directory))
    shown(directory, total)
    assert len(stored(directory)) == 3, "it fits already"
    text = shown(directory, 70_000)
    assert [one.folder.name for one in stored(directory)] == ["images-a", "b"] and " removed" in text
    shown(directory, 0)
    assert not stored(directory)


def test_files_in_use_by_another_process_stay(directory: Path) -> None:
    used = directory / "activations" / "c"
    command = [sys.executable, "-c", HOLD + "print('held', flush=True); sys.stdin.read()", str(used)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        os.utime(used / IN_USE, (1, 1))
        text = shown(directory, 0)
        assert [one.folder for one in stored(directory)] == [used]
        assert "kept, in use by a search: activations of an unnamed network (c)" in text
        process.communicate("")
    shown(directory, 0)
    assert not stored(directory), "its lock went with it"


def test_a_search_says_what_is_stored_where_and_holds_it(tmp_path: Path, squares: Path) -> None:
    directory = tmp_path / "own"
    run = small_search(tmp_path, squares, directory, space={}, search={}, training={"epochs": 1})
    console = Console(record=True, width=300)
    print_summary(run, console)
    assert f"in {directory}; `thaw cache` shows and clears them" in console.export_text()
    assert "kept, in use by a search: decoded images" in shown(directory, 0), "this process still has them mapped"


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        show_cache(tmp_path / "absent", Console(quiet=True))
    with pytest.raises(ConfigError, match="must be a size such as 500MB or 20GB, got 'much'"):
        app(["cache", str(tmp_path), "--keep", "much"], standalone_mode=False)


@pytest.mark.parametrize(("size", "text"), [(0, "0 bytes"), (1500, "1.5 kB"), (20e9, "20.0 GB"), (3e12, "3.0 TB")])
def test_sizes_are_readable(size: float, text: str) -> None:
    assert readable(size) == text
