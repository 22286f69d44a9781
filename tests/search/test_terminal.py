"""Standard output in other encodings, closed, or on a full disk: the text shown, and the exit status."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import ROOT
from tests.searches import search_file
from tests.synthetic_runs import synthetic_run
from thaw.analysis.run_folder import RunFolder
from thaw.search.terminal import SIGNS, OutputLost, Stream, fitting, outlive_the_terminal, standard_streams

ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0"}


@pytest.mark.parametrize(
    ("text", "encoding", "shown"),
    [
        ("f1 ↑ 0.5 – 0.6", "utf-8", "f1 ↑ 0.5 – 0.6"),
        ("f1 ↑ 0.5 – 0.6", "ascii", "f1 ^ 0.5 - 0.6"),
        ("Mönch × 2", "latin-1", "Mönch × 2"),
        ("Mönch × 2 → 漢", "ascii", "M\\xf6nch x 2 > \\u6f22"),
        ("bad\udcff.png", "utf-8", "bad\\udcff.png"),
    ],
)
def test_signs_fit_the_encoding(text: str, encoding: str, shown: str) -> None:
    assert fitting(text, encoding) == shown
    fitting(text, encoding).encode(encoding)


def test_each_character_has_a_replacement() -> None:
    assert all(len(sign) == len(plain) == 1 and plain.isascii() for sign, plain in SIGNS.items())


def _full_disk() -> io.TextIOWrapper:
    return open("/dev/full", "w")


def _closed_pipe() -> io.TextIOWrapper:
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


LOST: dict[str, Callable[[], io.TextIOWrapper]] = {"pipe": _closed_pipe, "full": _full_disk}


@pytest.mark.parametrize("kind", LOST)
def test_a_stream_that_cannot_be_written(kind: str) -> None:
    needed = Stream(LOST[kind](), needed=True)
    with pytest.raises(OutputLost) as lost:
        print("x", file=needed, flush=True)
    assert lost.value.closed == (kind == "pipe")
    view = Stream(LOST[kind](), needed=False)
    for _ in range(3):
        print("x" * 100_000, file=view, flush=True)
    view.close()


def test_streams_and_signals_are_as_before_afterwards() -> None:
    before = sys.stdout, sys.stderr, signal.getsignal(signal.SIGHUP)
    with standard_streams():
        outlive_the_terminal()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert (sys.stdout, sys.stderr, signal.getsignal(signal.SIGHUP)) == before


def shell(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`line` in bash, where ``thaw`` is the command; the status is that of the first command of a pipe."""
    thaw = f'thaw() {{ "{sys.executable}" -m thaw "$@"; }}; '
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run(
        ["bash", "-c", f"{thaw}{line}; exit ${{PIPESTATUS[0]}}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_a_command_whose_output_is_its_result_fails_with_it(tmp_path: Path) -> None:
    synthetic_run(tmp_path / "run", 3)
    full = shell("thaw best run > /dev/full", tmp_path)
    assert full.returncode == 1
    assert full.stderr == "error: standard output cannot be written: No space left on device\n"
    closed = shell("thaw best run | true", tmp_path)
    assert (closed.returncode, closed.stderr) == (128 + signal.SIGPIPE, "")
    nobody = shell("thaw best run >&- 2>&-", tmp_path)
    assert (nobody.returncode, nobody.stderr) == (0, "")


def test_an_ascii_terminal_shows_everything(tmp_path: Path, squares: Path, cache: Path) -> None:
    (tmp_path / "own.csv").write_text("filename,labels\n0.png,Mönch\n1.png,漢\n2.png,Mönch\n", encoding="utf-8")
    search_file(tmp_path, squares, cache, data={"labels": "own.csv"})
    done = shell("thaw data search.yaml", tmp_path, **ASCII)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.isascii()
    assert "M\\xf6nch" in done.stdout and "####" in done.stdout


@pytest.mark.slow
def test_a_search_continues_when_its_terminal_is_closed(tmp_path: Path, squares: Path, cache: Path) -> None:
    """The terminal is an ASCII one, so no text before that, or at the end, may break the search."""
    search_file(tmp_path, squares, cache, training={"epochs": 15, "patience": 0})
    folder = RunFolder(tmp_path / "results" / "squares")
    process, terminal = pty.fork()
    if process == 0:
        os.chdir(tmp_path)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", **ASCII}
        os.execve(sys.executable, [sys.executable, "-m", "thaw", "search", "search.yaml"], environment)

    def events() -> list[str]:
        return [event["event"] for event in folder.events()] if folder.events_file.exists() else []

    deadline = time.monotonic() + 200
    while "epoch" not in events():
        assert time.monotonic() < deadline
        os.set_blocking(terminal, False)
        try:
            os.read(terminal, 65536)
        except BlockingIOError:
            time.sleep(0.1)
    assert psutil.pid_exists(process) and "session_ended" not in events()
    os.close(terminal)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert events().count("trial_ended") == 4 and list(folder.events())[-1]["reason"] == "done"


@pytest.mark.slow
@pytest.mark.parametrize("rest", ["| head -1", "> /dev/full", ">&- 2>&-"])
def test_a_search_continues_when_nobody_reads_what_it_prints(
    rest: str, tmp_path: Path, squares: Path, cache: Path
) -> None:
    search_file(tmp_path, squares, cache)
    done = shell(f"thaw search search.yaml {rest}", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(RunFolder(tmp_path / "results" / "squares").events())[-1]["reason"] == "done"
