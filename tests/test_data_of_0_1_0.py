"""Runs and bundles of version 0.1.0 still load, replay, continue and predict.

``data_of_0_1_0/run_and_bundle.tar.xz`` holds a confirmed search of three small ConvNets on the built-in digits, the
bundle that was exported from it, and that bundle's predictions on the first ten images. Ray's own files and the
out-of-fold predictions were left out.
"""

from __future__ import annotations

import json
import shutil
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from tests.conftest import ROOT
from thaw import load_bundle, load_config, load_run, resume_search
from thaw.analysis.plots import PLOTS, NotEnough
from thaw.analysis.report import write_report
from thaw.search.best import best_yaml
from thaw.search.confirmation.confirm import run_confirm
from thaw.search.engine.proposals import StudyProposer
from thaw.search.sessions.tuner import new_state
from thaw.spaces.trial import FIELDS
from thaw.trainables.data.digits import BUILTIN

STATUSES = dict.fromkeys(range(3), "completed")
BEST, BEST_VALUE = 2, 0.2290


@pytest.fixture
def old(tmp_path: Path, cache: Path) -> Path:
    """A copy of everything, with the tests' cache."""
    shutil.unpack_archive(ROOT / "tests" / "data_of_0_1_0" / "run_and_bundle.tar.xz", tmp_path, filter="data")
    for file in tmp_path.rglob("search.yaml"):
        file.write_text(file.read_text().replace("~/.cache/thaw", str(cache)))
    return tmp_path


def test_a_run_loads_with_its_best_trial(old: Path) -> None:
    run = load_run(old / "run-of-0.1.0")
    assert {number: record.status for number, record in run.records.items()} == STATUSES
    assert run.best is not None and run.best.number == BEST
    assert best_yaml(run).startswith(f"# trial {BEST} of run-of-0.1.0: val_map {BEST_VALUE:.4f} at epoch 3\n")
    assert tuple(run.best.config) == FIELDS, "later hyperparameters are at the end"
    written = pd.read_csv(run.folder.trials_file).set_index("trial")
    assert written["val_map"].round(4).tolist() == run.trials["val_map"].round(4).tolist()


def test_an_event_log_replays_to_the_state_that_wrote_it(old: Path) -> None:
    run = load_run(old / "run-of-0.1.0")
    config = load_config(run.folder.search_file)
    state = new_state(config, StudyProposer(config), run.folder, 2, list(run.folder.events()))
    assert state.records == run.records and not state.running


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_and_table_takes_it(old: Path, name: str) -> None:
    """Its trials lack the hyperparameters that came later."""
    plot, run = PLOTS[name], load_run(old / "run-of-0.1.0")
    with suppress(NotEnough):
        data = plot.compute(run)
        assert plot.finding(data) and len(plot.table(data))


@pytest.mark.slow  # draws all plots
def test_a_report_shows_it_as_confirmed(old: Path) -> None:
    run = load_run(old / "run-of-0.1.0")
    page = write_report([run]).read_text(encoding="utf-8")
    assert (
        f"{BEST_VALUE:.3f}" in page
        and f"{json.loads(run.folder.confirm_file.read_text())['leaders'][0]['mean']:.3f}" in page
    )


def test_a_bundle_predicts_what_it_predicted(old: Path, cache: Path) -> None:
    images, _ = BUILTIN["digits"](cache / "digits")
    expected = pd.read_csv(old / "predictions.csv").set_index("image")
    for prediction in load_bundle(old / "bundle-of-0.1.0").predict([images / name for name in expected.index]):
        row = expected.loc[Path(prediction.image).name]
        assert "|".join(prediction.labels) == row["labels"]
        assert prediction.probabilities == pytest.approx(row.drop("labels").to_dict(), abs=1e-4)


@pytest.mark.slow  # trains ConvNets on about 1,000 images
def test_a_run_continues_and_is_confirmed_again(old: Path) -> None:
    folder = old / "run-of-0.1.0"
    before = load_run(folder).records  # read now, as the log will be longer
    after = resume_search(folder, ["search.trials=4"], backend="inline").records
    assert {number: after[number] for number in STATUSES} == before and after[3].ended
    shutil.rmtree(folder / "confirm")
    (folder / "confirm.json").unlink()
    found, reason = run_confirm(folder, top=1, folds=2, seeds=1, backend="inline")
    assert reason == "done" and found is not None
