"""What a command says, and its status, where the system refuses a path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from thaw.search.cli import run
from thaw.search.exit_status import FAULTS, exit_status

LONG = "x" * 300
SEARCH = "name: a\ndata: {builtin: digits}\nspace: {architecture: [convnet]}\n"
PHOTOS = "name: a\nspace: {architecture: [convnet]}\n"


def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """(exit status, last line on standard error)."""
    monkeypatch.setattr(sys, "argv", ["thaw", *arguments])
    status = run()
    return status, capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    "command",
    [
        f"search {LONG}",
        f"search s.yaml --import {LONG}.py",
        f"search s.yaml --from {LONG}",
        f"search s.yaml --backend inline --output {LONG}",
        *(f"{command} {LONG}" for command in ("data", "show", "list", "cache", "resume", "best", "report", "confirm")),
        *(f"{command} {LONG} --to x" for command in ("init", "train", "export")),
        f"compare {LONG} s",
        f"predict {LONG} {LONG} --to x",
        "list loop",
        "data s.yaml/x",
    ],
    ids=lambda command: command.replace(LONG, "LONG"),
)
def test_an_impossible_path_is_one_line_and_status_2(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text(SEARCH)
    (tmp_path / "loop").symlink_to("loop")
    monkeypatch.chdir(tmp_path)
    before = set(os.listdir())
    status, line = called(monkeypatch, capsys, *command.split())
    assert status == 2 and set(os.listdir()) == before
    reasons = (
        "must be a path of this system: ",
        "must be a readable UTF-8 file: [Errno 20] Not a directory",
        "there is no such folder",
    )
    assert line.startswith("error: ") and any(reason in line for reason in reasons), line


@pytest.mark.parametrize(
    "content",
    [
        PHOTOS + f"data: {{images: {LONG}, labels: l.csv}}",
        PHOTOS + f"data: {{images: ., labels: {LONG}}}",
        PHOTOS + f"data: {{images: ., labels: l.csv, classes: {LONG}}}",
        PHOTOS.replace("convnet", "resnet18") + f"data: {{builtin: digits}}\nweights: {{resnet18: ./{LONG}}}",
        SEARCH + f"search: {{learn_from: [{LONG}]}}",
        SEARCH + f"search: {{start_with: {LONG}}}",
        SEARCH + f"output: {LONG}",
        SEARCH + f"cache: {{directory: {LONG}}}",
    ],
    ids=lambda content: content.replace(LONG, "LONG").splitlines()[-1],
)
def test_an_impossible_path_in_a_search_file(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s.yaml").write_text(content)
    (tmp_path / "l.csv").write_text("image,label\n0.png,a\n1.png,b\n")
    monkeypatch.chdir(tmp_path)
    status, line = called(monkeypatch, capsys, "search", "s.yaml", "--backend", "inline")
    assert status == 2 and line.startswith("error: ") and LONG in line and "File name too long" in line


def without_rights(*command: str) -> list[str]:
    """A command that runs as a user who may not look into everything, which root otherwise may."""
    if os.getuid():
        return list(command)
    if not shutil.which("setpriv"):
        pytest.skip("root may read everything, and there is no setpriv, which takes that right away")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-all", *command]


def test_folders_that_are_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "run").mkdir(parents=True)
    if not os.getuid():
        os.chown(closed, 65534, 65534)
    closed.chmod(0o300 if os.getuid() else 0o700)
    thaw = (sys.executable, "-m", "thaw")
    done = subprocess.run(without_rights(*thaw, "list", tmp_path.as_posix()), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), "somebody's folder beside runs"
    assert done.stdout == f"no runs in {tmp_path}\n"
    if not os.getuid():
        done = subprocess.run(without_rights(*thaw, "show", f"{closed}/run"), capture_output=True, text=True)
        rule = "must be open to this user: Permission denied; change its permissions, or choose another place"
        assert (done.returncode, done.stderr) == (2, f"error: {closed}/run/events.jsonl: {rule}\n")


@pytest.mark.parametrize("number", FAULTS)
def test_every_fault_has_a_status(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise OSError(number, os.strerror(number), "a.jpg")

    assert exit_status(command) == FAULTS[number].status
    error = capsys.readouterr().err
    assert error.startswith("error: a.jpg: ") and error.count("\n") == 1 and os.strerror(number) in error


def test_a_fault_of_ours_shows_its_traceback() -> None:
    def command() -> None:
        os.close(10**6)

    with pytest.raises(OSError, match="Bad file descriptor"):
        exit_status(command)
