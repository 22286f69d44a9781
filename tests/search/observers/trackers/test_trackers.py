"""Services hear of a search whole and in order, and whatever they do, the search goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.synthetic_runs import synthetic_run
from thaw.analysis.records import TrialRecord
from thaw.analysis.run import Run
from thaw.search.engine.observers import Observer, Observers
from thaw.search.observers.trackers import CLASSES, build_trackers, tracker
from thaw.search.observers.trackers.tracker import Tracker
from thaw.search.settings.names import TRACKERS
from thaw.spaces import ConfigError


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four trials, one or two of which failed."""
    return synthetic_run(tmp_path_factory.mktemp("tracked") / "run", 4, failures=0.3, epochs=3)


class Notes(Tracker):
    """Notes what it is told."""

    def begin(self, records: Mapping[int, TrialRecord]) -> None:
        self.told: list[Any] = ["begin"]

    def row(self, record: TrialRecord, epoch: int, values: dict[str, float]) -> None:
        self.told.append((record.number, epoch, len(record.epochs), values[self.metric]))

    def end(self, record: TrialRecord) -> None:
        self.told.append((record.number, record.status))

    def finish(self) -> None:
        self.told.append("finish")


def made(kind: type[Tracker], run: Run) -> Tracker:
    return kind(run.folder, run.metric, list(run.space.parameters))


def replay(run: Run, observer: Observer) -> list[str]:
    """Tell an observer of a whole run, as a search does; returns the warnings."""
    warnings: list[str] = []
    observers = Observers([observer], warnings.append)
    observers.open({})
    for record in run.records.values():
        for event in record.epochs.values():
            observers.epoch(record, event)
        observers.ended(record)
    observers.close()
    return warnings


def test_everything_is_told_in_order(run: Run) -> None:
    notes = made(Notes, run)
    assert replay(run, notes) == []
    assert isinstance(notes, Notes) and (notes.told[0], notes.told[-1]) == ("begin", "finish")
    rows = [entry for entry in notes.told if len(entry) == 4]
    assert [entry[:2] for entry in rows] == [(n, epoch) for n, record in run.records.items() for epoch in record.epochs]
    ends = [entry for entry in notes.told if len(entry) == 2]
    assert ends == [(number, record.status) for number, record in run.records.items()]


def test_a_service_that_fails_is_left_out_with_one_warning(run: Run) -> None:
    class Failing(Notes):
        def row(self, record: TrialRecord, epoch: int, values: dict[str, float]) -> None:
            raise ConnectionError("nobody is there")

    assert replay(run, made(Failing, run)) == ["Failing is left out from now on: nobody is there"]


def test_a_service_that_hangs_holds_up_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Notes):
        def begin(self, records: Mapping[int, TrialRecord]) -> None:
            time.sleep(60)

    monkeypatch.setattr(tracker, "PATIENCE", 0.2)
    begun = time.monotonic()
    assert replay(run, made(Hanging, run)) == [
        "Hanging is left out from now on: it has not taken everything within 0 s"
    ]
    assert time.monotonic() - begun < 5


def test_a_package_that_is_not_there_is_named_before_anything_starts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CLASSES.keys() == TRACKERS.keys()
    monkeypatch.setattr("thaw.search.observers.trackers.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"trackers: mlflow is not installed; pip install 'thaw-tune\[mlflow\]'"):
        build_trackers(["mlflow"], run.folder, run.metric, [])


@pytest.mark.slow
def test_mlflow_has_a_run_a_trial_below_that_of_the_search(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "photos")
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # a session that is resumed finds its runs again
        [observer] = build_trackers(["mlflow"], run.folder, run.metric, list(run.space.parameters))
        assert isinstance(observer, Tracker)
        monkeypatch.setattr(tracker, "PATIENCE", 400.0)
        if not (tmp_path / "told").exists():
            assert replay(run, observer) == []
            (tmp_path / "told").touch()
        else:
            observer.open(run.records)
            observer.close()
    client = mlflow.tracking.MlflowClient()
    experiment = client.get_experiment_by_name("photos")
    runs = client.search_runs([experiment.experiment_id])
    children = {int(child.data.tags["thaw.trial"]): child for child in runs if "thaw.trial" in child.data.tags}
    [parent] = [other for other in runs if "thaw.trial" not in other.data.tags]
    assert children.keys() == run.records.keys() and parent.info.run_name == run.folder.path.name
    assert "search.yaml" in {file.path for file in client.list_artifacts(parent.info.run_id)}
    for number, record in run.records.items():
        child = children[number]
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.info.status == ("FAILED" if record.status == "failed" else "FINISHED")
        if not record.epochs:
            continue
        assert child.data.params["learning_rate"] == str(record.config["learning_rate"])
        curve = client.get_metric_history(child.info.run_id, run.metric)
        assert {point.step: point.value for point in curve} == pytest.approx(record.values(run.metric))
        assert child.data.metrics[f"best_{run.metric}"] == pytest.approx(max(record.values(run.metric).values()))


@pytest.mark.slow
def test_a_dead_server_costs_one_warning(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    [warning] = replay(run, build_trackers(["mlflow"], run.folder, run.metric, [])[0])
    assert warning.startswith("MLflow is left out from now on: ")


@pytest.mark.slow
def test_wandb_offline_keeps_a_run_a_trial(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tracker, "PATIENCE", 400.0)
    assert replay(run, build_trackers(["wandb"], run.folder, run.metric, list(run.space.parameters))[0]) == []
    kept = [folder for folder in (tmp_path / "wandb").glob("offline-run-*") if list(folder.glob("*.wandb"))]
    assert len(kept) == len(run.records) + 1
