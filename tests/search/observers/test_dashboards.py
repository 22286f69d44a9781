"""The pages of other tools on a run, in a real browser: Optuna's dashboard, TensorBoard's HParams and MLflow's runs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.browser import LIMIT, Browser, browser
from tests.searches import small_config
from thaw.analysis.run import Run
from thaw.search.observers.trackers import tracker
from thaw.search.sessions.tuner import run_search

pytestmark = pytest.mark.slow

TEXT = """
    const words = (node) => node.nodeType === 3 ? [node.textContent.trim()] :
        ["SCRIPT", "STYLE"].includes(node.nodeName) ? [] :
        [...(node.shadowRoot ? node.shadowRoot.childNodes : []), ...node.childNodes].flatMap(words);
    return words(document.body).filter(Boolean);
"""
"""All texts of a page in their order, those of web components too."""

NO_ACCOUNTS = "/mlflow/users/current "
"""MLflow's page asks its server who is signed in, and logs an error where there are no accounts."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dashboards")


@pytest.fixture(scope="module")
def run(folder: Path, squares: Path, cache: Path) -> Run:
    """A search of five trials that MLflow knows, too."""
    settings = {
        "space": {"learning_rate": {"log": [1e-4, 1e-2]}, "freeze_depth": [0], "dropout": {"float": [0.0, 0.5]}},
        "search": {"trials": 5},
        "trackers": ["mlflow"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder}/mlflow.db")
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "photos")
        patch.chdir(folder)
        patch.setattr(tracker, "PATIENCE", 400.0)
        return run_search(small_config(folder, squares, cache, **settings), backend="inline")


@pytest.fixture(scope="module")
def chromium(folder: Path) -> Iterator[Browser]:
    with browser(folder / "profile") as started:
        started.driver.set_window_size(1280, 800)
        yield started


@contextmanager
def served(folder: Path, *command: str) -> Iterator[str]:
    """The address of a server that listens on 127.0.0.1, at the port that is appended to its command."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command, str(port)], cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(LIMIT)


def texts(chromium: Browser, *expected: str) -> list[str]:
    """The page's texts, once all those that are expected are among them."""
    deadline = time.monotonic() + LIMIT
    while True:
        found: list[str] = chromium.run(TEXT)
        if set(expected) <= set(found):
            return found
        assert time.monotonic() < deadline, (sorted(set(expected) - set(found)), found)
        time.sleep(0.5)


def page_is_sound(chromium: Browser, folder: Path, name: str) -> None:
    """Nothing failed on it; a picture of it is kept beside the run. The browser leaves it before its server ends."""
    chromium.driver.save_screenshot(str(folder / f"{name}.png"))
    errors = [error for error in chromium.severe() if NO_ACCOUNTS not in error]
    chromium.driver.get("about:blank")
    assert errors == []


def test_optuna_dashboard_shows_thaws_numbers(run: Run, chromium: Browser, folder: Path) -> None:
    start = "import sys; from optuna_dashboard._cli import main; sys.argv[0] = 'optuna-dashboard'; main()"
    with served(folder, "-c", start, str(run.folder.study_file), "--host", "127.0.0.1", "--port") as address:
        chromium.driver.get(f"{address}dashboard/studies/0/trials")
        found = texts(chromium, *(f"Trial {trial}" for trial in run.trials["trial"]), "Value")
        page_is_sound(chromium, folder, "optuna")
    first = run.trials.set_index("trial").loc[0]
    assert float(found[found.index("Value") + 1]) == pytest.approx(first["val_map"])
    assert float(found[found.index("learning_rate") + 1]) == pytest.approx(first["learning_rate"])


def test_hparams_columns_are_what_is_searched(run: Run, chromium: Browser, folder: Path) -> None:
    command = ("-m", "tensorboard.main", "--logdir", str(run.folder.tensorboard), "--host", "127.0.0.1", "--port")
    with served(folder, *command) as address:
        chromium.driver.get(f"{address}#hparams")
        found = texts(chromium, "Trial ID", "trial-0004")
        page_is_sound(chromium, folder, "tensorboard")
    head = found[found.index("Show Metrics") + 1 : found.index("trial-0000")]
    assert head[:5] == [*sorted(run.space.parameters), "status", "best/map"]
    for trial, value in zip(run.trials["trial"], run.trials["val_map"], strict=True):
        row = found[found.index(f"trial-{trial:04d}") :]
        assert row[4] == "completed" and float(row[5]) == pytest.approx(value, rel=1e-4)


def test_mlflow_lists_the_trials_below_their_search(run: Run, chromium: Browser, folder: Path) -> None:
    command = ("-m", "mlflow", "ui", "--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--host", "127.0.0.1")
    trials = [f"trial {trial}" for trial in run.trials["trial"]]
    last = run.trials.set_index("trial").loc[4]
    with served(folder, *command, "--workers", "1", "--port") as address:
        chromium.driver.get(f"{address}#/experiments/1/runs?workflowType=machine_learning")
        texts(chromium, run.folder.path.name)
        chromium.run("document.querySelector('[role=gridcell] button').click()")
        found = texts(chromium, *trials)
        assert [text for text in found if text.startswith("trial ")] == trials[::-1]
        chromium.run("[...document.querySelectorAll('a')].find((link) => link.textContent === 'trial 4').click()")
        texts(chromium, "trial 4", "learning_rate", str(last["learning_rate"]), "dropout", str(last["dropout"]))
        page_is_sound(chromium, folder, "mlflow")
