"""Progress is shown from the first second."""

from __future__ import annotations

import time
from io import StringIO

import pytest
from rich.console import Console

from thaw.search.prepare import stages
from thaw.search.prepare.stages import Stages


def test_a_terminal_shows_the_stage_at_once_with_a_bar_and_clears_it() -> None:
    out = StringIO()
    with Stages(Console(file=out, force_terminal=True, width=80, color_system=None))("reading images") as step:
        begun = time.monotonic()
        while "reading images" not in out.getvalue():
            assert time.monotonic() - begun < 1
        step(512, 2048)
        while "512/2048" not in out.getvalue():
            assert time.monotonic() - begun < 3
    assert out.getvalue().endswith("\x1b[2K"), "nothing of it stays"


def test_without_a_terminal_a_stage_is_a_line_and_a_long_one_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "EVERY", 0.0)
    out = StringIO()
    with Stages(Console(file=out, width=80))("reading images") as step:
        step(512, 2048)
        step(2048, 2048)
    assert out.getvalue().splitlines() == ["reading images …", "reading images … 512 of 2,048"]


def test_without_a_console_nothing_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    with Stages()("reading labels") as step:
        step(1, 2)
    assert capsys.readouterr().out == ""
