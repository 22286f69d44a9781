"""A run folder in which nothing ran is removed, and Ctrl-C before a session reports the state of the run."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

import pytest
from rich.console import Console

from tests.search.backends.test_start import DATA, RANDOM, SOURCE, SPACE, start
from tests.searches import search_file
from tests.synthetic_runs import synthetic_run
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.interruption import Interrupted
from thaw.search.sessions.interruptible import interruptible
from thaw.search.sessions.new_folder import new_folder
from thaw.spaces import ConfigError


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The first line of each kind of event in a search's log."""
    run = synthetic_run(tmp_path_factory.mktemp("log") / "run", 2)
    lines = run.folder.events_file.read_text().splitlines(keepends=True)
    return {json.loads(line)["event"]: line for line in reversed(lines)}


def fail(folder: RunFolder, error: BaseException, *events: str) -> None:
    with pytest.raises(type(error)), new_folder(folder):
        folder.events_file.write_text("".join(events))
        raise error


@pytest.mark.parametrize("error", [ConfigError("Ray does not start"), KeyboardInterrupt()])
def test_a_folder_in_which_nothing_ran_is_removed(tmp_path: Path, error: BaseException, log: dict[str, str]) -> None:
    folder = RunFolder(tmp_path / "results" / "deep" / "run")
    fail(folder, error, log["session_started"])
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "results").mkdir()
    fail(folder, error)
    assert list(tmp_path.rglob("*")) == [tmp_path / "results"], "somebody else's"


def test_a_folder_with_trials_or_after_an_internal_error_stays(tmp_path: Path, log: dict[str, str]) -> None:
    fail(RunFolder(tmp_path / "a"), KeyboardInterrupt(), log["session_started"], log["trial_started"])
    fail(RunFolder(tmp_path / "b"), RuntimeError(), log["session_started"])
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize("there", [True, False])
def test_ctrl_c_reports_whether_a_run_exists(tmp_path: Path, there: bool) -> None:
    if there:
        RunFolder(tmp_path).events_file.touch()
    out = io.StringIO()
    console = Console(file=out)
    with (
        pytest.raises(Interrupted),
        interruptible(console, tmp_path),
        interruptible(console, tmp_path, "thaw resume x"),
    ):
        raise KeyboardInterrupt
    said = "Interrupted. Continue with: thaw resume x" if there else "Interrupted; nothing was started."
    assert out.getvalue() == f"{said}\n", "once"


def test_ctrl_c_while_images_are_read(tmp_path: Path) -> None:
    (tmp_path / "source.py").write_text(SOURCE)
    file = search_file(tmp_path, tmp_path, tmp_path / "cache", data=DATA, space=SPACE, search=RANDOM)
    process = start(tmp_path, {"READING": "lasts"}, "search", file, "--backend", "inline")
    assert process.stdout and process.stderr
    while "reading images" not in (line := process.stdout.readline()):
        assert line, process.stderr.read()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert (process.returncode, output.splitlines()[-1], errors) == (130, "Interrupted; nothing was started.", "")
    assert not (tmp_path / "results").exists()
