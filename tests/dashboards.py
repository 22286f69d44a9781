"""Pages of other tools about a run: their servers on loopback, and the texts that a browser shows."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.browser import LIMIT, Browser
from thaw.analysis.run_folder import RunFolder

LOOPBACK = ("--host", "127.0.0.1")

OPTUNA = "import sys; from optuna_dashboard._cli import main; sys.argv[0] = 'optuna-dashboard'; main()"

MLFLOW_RUNS = "#/experiments/1/runs?workflowType=machine_learning"
"""The page of the first experiment's runs, relative to MLflow's address."""

TEXT = """
    const words = (node) => node.nodeType === 3 ? [node.textContent.trim()] :
        ["SCRIPT", "STYLE"].includes(node.nodeName) ? [] :
        [...(node.shadowRoot ? node.shadowRoot.childNodes : []), ...node.childNodes].flatMap(words);
    return words(document.body).filter(Boolean);
"""
"""All texts of a page in order, including those of web components."""


def optuna_dashboard(run: RunFolder, place: Path) -> AbstractContextManager[str]:
    return served(place, "-c", OPTUNA, str(run.study_file), *LOOPBACK, "--port")


def tensorboard(run: RunFolder, place: Path) -> AbstractContextManager[str]:
    return served(place, "-m", "tensorboard.main", "--logdir", str(run.tensorboard), *LOOPBACK, "--port")


def mlflow_database(place: Path) -> str:
    """The URL of the database that :func:`mlflow` shows."""
    return f"sqlite:///{place}/mlflow.db"


def mlflow(place: Path) -> AbstractContextManager[str]:
    store = ("--backend-store-uri", mlflow_database(place), *LOOPBACK, "--workers", "1")
    return served(place, "-m", "mlflow", "ui", *store, "--port")


@contextmanager
def served(place: Path, *command: str) -> Iterator[str]:
    """Run a server on 127.0.0.1, with a free port appended to its command; yields its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    address = f"http://127.0.0.1:{port}/"
    with (place / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command, str(port)], cwd=place, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                urllib.request.urlopen(address, timeout=5).close()
                break
            except OSError:
                assert process.poll() is None and time.monotonic() < deadline, (place / "server.log").read_text()
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(LIMIT)


def texts(chromium: Browser, *expected: str) -> list[str]:
    """The page's texts, once they include all expected ones."""
    deadline = time.monotonic() + LIMIT
    while True:
        found: list[str] = chromium.run(TEXT)
        if set(expected) <= set(found):
            return found
        assert time.monotonic() < deadline, (sorted(set(expected) - set(found)), found)
        time.sleep(0.5)
