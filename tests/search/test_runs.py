"""`thaw list` and `thaw compare`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.conftest import ROOT
from thaw.analysis.run_folder import RunFolder
from thaw.search.cli import run
from thaw.search.cli.looking import compare
from thaw.search.runs import print_runs
from thaw.search.sessions.lock import driving
from thaw.spaces import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A finished run, one whose log ends in the middle, one with a damaged log, and something else."""
    shutil.unpack_archive(ROOT / "tests" / "data_of_0_1_0" / "run_and_bundle.tar.xz", tmp_path, filter="data")
    finished = tmp_path / "run-of-0.1.0"
    log = (finished / "events.jsonl").read_text().splitlines(keepends=True)
    for name, text in (("killed", "".join(log[:8])), ("damaged", "{}\n{\n{}\n")):
        shutil.copytree(finished, tmp_path / name)
        (tmp_path / name / "events.jsonl").write_text(text)
    return tmp_path


def shown(folder: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    print_runs(folder, Console(width=200))
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    return {line[0]: line[1] for line in lines}


def test_runs_are_listed_with_state_best_value_and_time(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = shown(folder, capsys)
    assert set(rows) == {"run", "run-of-0.1.0", "killed", "damaged"}
    assert rows["run-of-0.1.0"].split() == ["done", "3", "val_map", "0.2290", "1", "min", "2", "s"]
    assert rows["killed"].startswith("killed") and "0.2290" not in rows["killed"]
    assert rows["damaged"].startswith("cannot be read")
    with driving(RunFolder(folder / "killed")):
        assert shown(folder, capsys)["killed"].startswith("running")


def test_a_folder_without_runs_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print_runs(tmp_path, Console(width=200))
    assert capsys.readouterr().out == f"no runs in {tmp_path}\n"
    with pytest.raises(ConfigError, match="there is no such folder"):
        print_runs(tmp_path / "absent", Console())


@pytest.mark.parametrize(
    "command",
    [
        "best CONFIRMATION",
        "list CONFIRMATION",
        "report CONFIRMATION",
        "compare RUN CONFIRMATION",
        "resume CONFIRMATION",
        "confirm CONFIRMATION --backend inline",
        "export CONFIRMATION --to m",
        "search s.yaml --from CONFIRMATION --backend inline",
        "search s.yaml --set search.start_with=CONFIRMATION --backend inline",
    ],
)
def test_a_confirmation_is_no_run(
    command: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run_of_it = folder / "run-of-0.1.0"
    assert set(shown(run_of_it, capsys)) == {"run", "run-of-0.1.0"}
    (folder / "s.yaml").write_text("name: a\ndata: {builtin: digits}\nspace: {architecture: [convnet]}\n")
    monkeypatch.chdir(folder)
    command = command.replace("CONFIRMATION", f"{run_of_it}/confirm").replace("RUN", str(run_of_it))
    monkeypatch.setattr(sys, "argv", ["thaw", *command.split()])
    assert run() == 2
    error = capsys.readouterr().err
    assert f"{run_of_it}/confirm: is the confirmation of a run, whose trials train on folds; give {run_of_it}" in error


def test_one_run_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs two run folders or more, got 1; thaw report shows one"):
        compare([tmp_path], tmp_path / "report")
