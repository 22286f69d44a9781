"""Help, version and completion of the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest
import typer.main

from tests.conftest import ROOT
from thaw.search.cli import app, run
from thaw.search.version import __version__
from thaw.trainables.evaluation.label_sets import POLICIES
from thaw.trainables.evaluation.thresholds import TARGETS

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    monkeypatch.setattr(sys, "argv", ["thaw", *arguments])
    assert run() == 0
    return capsys.readouterr().out


def test_the_version_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert shown(monkeypatch, capsys, "--version") == f"thaw {__version__}\n"


def test_the_list_of_commands_shows_each_sentence_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(monkeypatch, capsys, "--help")
    for name, command in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(command.help.partition('.')[0])}\.$", text, re.MULTILINE), name


@pytest.mark.parametrize("name", COMMANDS)
def test_options_name_their_value_and_flags_have_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    text = shown(monkeypatch, capsys, name, "--help")
    for parameter in COMMANDS[name].params:
        assert parameter.help and (parameter.metavar or parameter.is_flag), parameter.name
        if parameter.param_type_name == "option":
            assert re.search(
                rf"{parameter.opts[0]}\s+(?!<){'' if parameter.is_flag else re.escape(parameter.metavar)}", text
            )


@pytest.mark.parametrize(("option", "names"), [("--policy", POLICIES), ("--target", TARGETS)])
def test_the_help_lists_the_names_that_an_option_takes(option: str, names: dict[str, object]) -> None:
    """They are written out there, as the tables would load SciPy."""
    options = [p for command in COMMANDS.values() for p in command.params if option in p.opts]
    assert options
    for parameter in options:
        assert all(re.search(rf"\b{name}\b", parameter.help) for name in names), parameter.help


def test_a_shell_completes_commands_and_options() -> None:
    cases = (("thaw conf", "confirm"), ("thaw export --pol", "--policy"), ("thaw resume --backend l", "local"))
    for words, expected in cases:
        variables = {"_THAW_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        done = subprocess.run(
            [sys.executable, "-c", "import sys; sys.argv[0] = 'thaw'; from thaw.__main__ import main; main()"],
            cwd=ROOT,
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.stdout.split() == [expected], done.stderr
