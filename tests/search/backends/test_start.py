"""Ray starts while images are read: whatever fails meanwhile, no process outlives the command."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psutil
import pytest

from tests.conftest import ROOT
from tests.search.test_cli import LIMIT, command
from tests.searches import search_file

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SOURCE = """
import os, time
from PIL import Image
from thaw import register_data_source

class Source:
    digest, labels = "1", ["one", "two"] * 20

    def __len__(self):
        return len(self.labels)

    def decode(self, i):
        if os.environ.get("READING") == "fails":
            raise OSError("no such row")
        if os.environ.get("READING") == "lasts":
            time.sleep(60)
        return Image.new("RGB", (32, 32), (6 * i, 0, 0))

register_data_source("own", Source())
"""

SPACE, RANDOM = {"learning_rate": {"log": [1e-4, 1e-2]}}, {"algorithm": "random", "trials": 4}
DATA = {"images": None, "labels": None, "source": "own"}

COMMANDS = pytest.mark.parametrize("name", ["search", "resume", "confirm"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images from a data source, and a finished search of them."""
    folder = tmp_path_factory.mktemp("start")
    (folder / "source.py").write_text(SOURCE)
    search_file(folder, folder, folder / "cache", data=DATA, space=SPACE, search=RANDOM)
    done = start(folder, {}, "search", folder / "search.yaml", "--backend", "inline")
    assert done.wait(LIMIT) == 0, done.communicate()
    return folder


def start(folder: Path, environment: dict[str, str], *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*command(*arguments), "--import", str(folder / "source.py")],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # The background jobs of some shells ignore it, and so would the command.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


class Started:
    """A command under Ray whose images have not been read before, and all its descendants."""

    def __init__(self, name: str, place: Path, tmp_path: Path, **environment: str) -> None:
        self.mark = uuid4().hex
        run = place / "results" / "squares"
        arguments: dict[str, list[object]] = {
            "search": [place / "search.yaml", "--output", tmp_path],
            "resume": [run, "--trials", "6"],
            "confirm": [run, "--top", "1", "--folds", "2"],
        }
        more = ["--set", f"cache.directory={tmp_path / 'cache'}"]
        self.process = start(place, {"MARK": self.mark, **environment}, name, *arguments[name], *more)

    def others(self) -> list[psutil.Process]:
        """The command's children and theirs, whoever their parent is by now."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("MARK") == self.mark and process.pid != self.process.pid:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def ends(self) -> tuple[int, str, str]:
        """(exit status, standard output, standard error), once all its processes have ended."""
        output, errors = self.process.communicate(timeout=LIMIT)
        deadline = time.monotonic() + 10
        while others := self.others():
            assert time.monotonic() < deadline, [process.cmdline() for process in others]
            time.sleep(0.1)
        return self.process.returncode, output, errors


@COMMANDS
def test_images_that_cannot_be_read(name: str, place: Path, tmp_path: Path) -> None:
    status, _, errors = Started(name, place, tmp_path, READING="fails").ends()
    assert status == 2 and "no such row" in errors and "Traceback" not in errors


@COMMANDS
def test_ctrl_c(name: str, place: Path, tmp_path: Path) -> None:
    started = Started(name, place, tmp_path, READING="lasts")
    deadline = time.monotonic() + LIMIT
    while not any("gcs_server" in process.name() for process in started.others()):
        assert started.process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    started.process.send_signal(signal.SIGINT)
    began = time.monotonic()
    status, output, errors = started.ends()
    assert status == 130 and not errors.strip()
    said = "Continue with: thaw resume" if name == "resume" else "nothing was started"
    assert said in output.splitlines()[-1]
    assert not (tmp_path / "squares").exists() and not (place / "results" / "squares" / "confirm").exists()
    assert time.monotonic() - began < 40


@COMMANDS
def test_ray_that_does_not_start(name: str, place: Path, tmp_path: Path) -> None:
    with TemporaryDirectory(dir="/tmp") as short:
        Path(short, "ray").write_text("a file where Ray's folder would be")
        status, _, errors = Started(name, place, tmp_path, RAY_TMPDIR=short).ends()
    assert status == 2 and "Traceback" not in errors
    assert "--backend: Ray does not start here: FileExistsError: " in errors and "--backend inline" in errors
    assert not (tmp_path / "squares").exists() and not (place / "results" / "squares" / "confirm").exists()
