"""Pictures of a run's pages: its report on a wide and a narrow screen, light and dark, and what other tools show of it.

    python -m benchmarks.pages RUN FOLDER

writes `report-1280-light.png` and so on into FOLDER, and `hparams.png`, `optuna.png` and `mlflow.png`. It takes a
headless Chromium and the tools themselves.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.browser import Browser, browser
from tests.dashboards import MLFLOW_RUNS, mlflow, mlflow_database, optuna_dashboard, tensorboard, texts
from thaw.analysis.report import write_report
from thaw.analysis.run import Run, load_run
from thaw.search.observers.trackers import build_trackers, tracker

SCREENS = {1280: 1000, 390: 844}
"""Width of a screen → its height."""

WINDOW = (1500, 720)
"""Of the other tools."""

SETTLED = 3.0
"""Seconds in which a page draws what it has loaded."""


def report(chromium: Browser, run: Run, place: Path, to: Path) -> None:
    page = write_report([run], place / "report")
    for width, height in SCREENS.items():
        for theme in ("light", "dark"):
            chromium.open(page, width, height, theme)
            (to / f"report-{width}-{theme}.png").write_bytes(chromium.picture(width, height))


def hparams(chromium: Browser, run: Run, place: Path, to: Path) -> None:
    with tensorboard(run.folder, place) as address:
        chromium.driver.get(f"{address}#hparams")
        texts(chromium, "Trial ID", f"trial-{max(run.records):04d}")
        _keep(chromium, to / "hparams.png")


def optuna(chromium: Browser, run: Run, place: Path, to: Path) -> None:
    with optuna_dashboard(run.folder, place) as address:
        chromium.driver.get(f"{address}dashboard/studies/0")
        texts(chromium, "Intermediate values")
        _keep(chromium, to / "optuna.png")


def mlflow_runs(chromium: Browser, run: Run, place: Path, to: Path) -> None:
    os.environ["MLFLOW_TRACKING_URI"] = mlflow_database(place)
    tracker.PATIENCE = 300.0
    [mlflow_tracker] = build_trackers(["mlflow"], run.folder, run.metric, list(run.space.parameters))
    assert isinstance(mlflow_tracker, tracker.Tracker)
    mlflow_tracker.open(run.records)
    mlflow_tracker.close()
    with mlflow(place) as address:
        chromium.driver.get(f"{address}{MLFLOW_RUNS}")
        texts(chromium, run.folder.path.name)
        chromium.run("document.querySelector('[role=gridcell] button').click()")
        texts(chromium, f"trial {max(run.records)}")
        _keep(chromium, to / "mlflow.png")


PAGES: dict[str, Callable[[Browser, Run, Path, Path], None]] = {
    "report": report,
    "hparams": hparams,
    "optuna": optuna,
    "mlflow": mlflow_runs,
}


def _keep(chromium: Browser, file: Path) -> None:
    time.sleep(SETTLED)
    file.write_bytes(chromium.picture(*WINDOW))
    # The browser leaves the page before its server ends.
    chromium.driver.get("about:blank")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("--pages", nargs="+", choices=PAGES, default=list(PAGES))
    options = parser.parse_args()
    run, folder = load_run(options.run.resolve()), options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # MLflow keeps files in the current folder.
    with TemporaryDirectory() as place, chdir(place), browser(Path(place, "profile")) as chromium:
        for name in options.pages:
            chromium.window(*WINDOW)
            PAGES[name](chromium, run, Path(place), folder)


if __name__ == "__main__":
    main()
