"""The pages of other tools on a run, in a real browser: Optuna's dashboard, TensorBoard's HParams and MLflow's runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.browser import Browser, browser
from tests.dashboards import MLFLOW_RUNS, mlflow, mlflow_database, optuna_dashboard, tensorboard, texts
from tests.searches import small_config
from thaw.analysis.run import Run
from thaw.search.observers.tensorboard import STATUS
from thaw.search.observers.trackers import tracker
from thaw.search.sessions.tuner import run_search

pytestmark = pytest.mark.slow

NO_ACCOUNTS = "/mlflow/users/current "
"""MLflow's page asks its server who is signed in, and logs an error where there are no accounts."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dashboards")


@pytest.fixture(scope="module")
def run(folder: Path, squares: Path, cache: Path) -> Run:
    """A search of five trials that MLflow knows, too."""
    settings = {
        "space": {
            "learning_rate": {"log": [1e-4, 1e-2]},
            "freeze_depth": [0],
            "dropout": {"float": [0.0, 0.5]},
            "weight_decay": {"log": [1e-6, 1e-2]},
        },
        "search": {"trials": 5},
        "trackers": ["mlflow"],
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", mlflow_database(folder))
        patch.setenv("MLFLOW_EXPERIMENT_NAME", "photos")
        patch.chdir(folder)
        patch.setattr(tracker, "PATIENCE", 400.0)
        return run_search(small_config(folder, squares, cache, **settings), backend="inline")


@pytest.fixture(scope="module")
def chromium(folder: Path) -> Iterator[Browser]:
    with browser(folder / "profile") as started:
        started.driver.set_window_size(1280, 800)
        yield started


def page_is_sound(chromium: Browser, folder: Path, name: str) -> None:
    """Check that nothing failed, and keep a picture beside the run. The browser leaves before the server ends."""
    chromium.driver.save_screenshot(str(folder / f"{name}.png"))
    errors = [error for error in chromium.severe() if NO_ACCOUNTS not in error]
    chromium.driver.get("about:blank")
    assert errors == []


def test_optuna_dashboard_shows_thaws_numbers(run: Run, chromium: Browser, folder: Path) -> None:
    with optuna_dashboard(run.folder, folder) as address:
        chromium.driver.get(f"{address}dashboard/studies/0/trials")
        found = texts(chromium, *(f"Trial {trial}" for trial in run.trials["trial"]), "Value")
        page_is_sound(chromium, folder, "optuna")
    first = run.trials.set_index("trial").loc[0]
    assert float(found[found.index("Value") + 1]) == pytest.approx(first["val_map"])
    assert float(found[found.index("learning_rate") + 1]) == pytest.approx(first["learning_rate"])


def test_hparams_columns_are_the_searched_hyperparameters(run: Run, chromium: Browser, folder: Path) -> None:
    with tensorboard(run.folder, folder) as address:
        chromium.driver.get(f"{address}#hparams")
        found = texts(chromium, "Trial ID", "trial-0004")
        page_is_sound(chromium, folder, "tensorboard")
    head = found[found.index("Show Metrics") + 1 : found.index("trial-0000")]
    assert head[:6] == [*sorted(run.space.parameters), STATUS, "best/map"]
    for trial, value in zip(run.trials["trial"], run.trials["val_map"], strict=True):
        row = found[found.index(f"trial-{trial:04d}") :]
        assert row[5] == "completed" and float(row[6]) == pytest.approx(value, rel=1e-4)


def test_mlflow_lists_the_trials_below_their_search(run: Run, chromium: Browser, folder: Path) -> None:
    trials = [f"trial {trial}" for trial in run.trials["trial"]]
    last = run.trials.set_index("trial").loc[4]
    with mlflow(folder) as address:
        chromium.driver.get(f"{address}{MLFLOW_RUNS}")
        texts(chromium, run.folder.path.name)
        chromium.run("document.querySelector('[role=gridcell] button').click()")
        found = texts(chromium, *trials)
        assert [text for text in found if text.startswith("trial ")] == trials[::-1]
        chromium.run("[...document.querySelectorAll('a')].find((link) => link.textContent === 'trial 4').click()")
        texts(chromium, "trial 4", "learning_rate", str(last["learning_rate"]), "dropout", str(last["dropout"]))
        page_is_sound(chromium, folder, "mlflow")
