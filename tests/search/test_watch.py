"""`thaw report --watch` and `thaw search --open`: the page of a running search."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.browser import LIMIT, browser
from tests.conftest import ROOT
from tests.page_elements import Elements
from tests.searches import search_file
from tests.synthetic_runs import synthetic_run
from thaw.analysis.report import write_report
from thaw.search.sessions.lock import driving
from thaw.search.watch import SHORTEST, watch


def test_the_page_is_written_until_the_search_is_over(tmp_path: Path) -> None:
    run = synthetic_run(tmp_path / "run", 3)
    pauses: list[float | None] = []
    places: list[Path] = []
    with ExitStack() as search:
        search.enter_context(driving(run.folder))

        def write(refresh: float | None) -> Path:
            pauses.append(refresh)
            if len(pauses) == 1:
                search.close()
            return tmp_path / f"{len(pauses)}.html"

        watch([run.folder.path], write, places.append, tick=0)
    assert pauses == [SHORTEST, None], "the last one is of the finished search and stays as it is"
    assert [place.name for place in places] == ["1.html", "2.html"]


@pytest.mark.slow
def test_a_browser_reloads_the_page_until_the_search_is_over(tmp_path: Path) -> None:
    run = synthetic_run(tmp_path / "run", 3)
    page = write_report([run], refresh=1)
    began = "return performance.timeOrigin"
    with browser(tmp_path / "profile") as chromium:
        chromium.open(page)
        assert "The search is running" in chromium.run("return document.body.textContent")
        first = chromium.run(began)
        write_report([run])
        deadline = time.monotonic() + LIMIT
        while "The search is running" in chromium.run("return document.body.textContent"):
            assert time.monotonic() < deadline
            time.sleep(0.2)
        last = chromium.run(began)
        assert last > first
        time.sleep(2.5)
        assert chromium.run(began) == last and chromium.errors() == []


@pytest.mark.slow
def test_a_search_opens_its_page(tmp_path: Path, squares: Path, cache: Path) -> None:
    """The browser is a script that records the address it is given."""
    search_file(tmp_path, squares, cache)
    shown = tmp_path / "shown"
    script = tmp_path / "browser"
    script.write_text(f'#!/bin/sh\necho "$1" >> "{shown}"\n')
    script.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "BROWSER": f"{script} %s"}
    command = [sys.executable, "-m", "thaw", "search", "search.yaml", "--backend", "inline", "--open"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=300)
    page = tmp_path / "results" / "squares" / "report" / "index.html"

    def finished() -> bool:
        metas = Elements(page).all("meta") if page.exists() else []
        return bool(metas) and not any(meta.get("http-equiv") == "refresh" for meta in metas)

    deadline = time.monotonic() + LIMIT
    while not (shown.exists() and finished()):
        assert time.monotonic() < deadline
        time.sleep(0.5)
    assert shown.read_text() == f"{page.resolve().as_uri()}\n", "once, however often the page is written"
