"""Tracking services receive a search complete and in order; whatever they do, the search continues."""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from tests.searches import small_config
from tests.synthetic_runs import synthetic_run
from thaw.analysis.records import TrialRecord
from thaw.analysis.run import Run, load_run
from thaw.search.engine.observers import Observer, Observers
from thaw.search.observers.trackers import CLASSES, build_trackers, send, tracker
from thaw.search.observers.trackers.tracker import Tracker
from thaw.search.python_api import load_run as load_saved_run
from thaw.search.sessions.resume import resume_search
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.names import TRACKERS
from thaw.spaces import ConfigError

FOUR: dict[str, Any] = {
    "space": {"learning_rate": {"log": [1e-4, 1e-2]}},
    "search": {"algorithm": "random", "trials": 4, "concurrency": 1},
}
"""Four trials, one at a time, from a continuous space."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four trials, one or two of which failed."""
    return synthetic_run(tmp_path_factory.mktemp("tracked") / "run", 4, failures=0.3, epochs=3)


class Notes(Tracker):
    """Records all calls."""

    def connect(self) -> None:
        self.told: list[Any] = []

    def begin(self, records: Mapping[int, TrialRecord]) -> None:
        self.told.append("begin")

    def row(self, record: TrialRecord, epoch: int, values: dict[str, float]) -> None:
        self.told.append((record.number, epoch, len(record.epochs), values[self.metric]))

    def end(self, record: TrialRecord) -> None:
        self.told.append((record.number, record.status))

    def finish(self) -> None:
        self.told.append("finish")

    def keep(self, kind: str, place: Path) -> None:
        self.told.append((kind, place.name))


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


def test_everything_is_reported_in_order(run: Run) -> None:
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


def test_a_service_that_hangs_delays_nothing(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Notes):
        def begin(self, records: Mapping[int, TrialRecord]) -> None:
            time.sleep(60)

    monkeypatch.setattr(tracker, "PATIENCE", 0.2)
    begun = time.monotonic()
    assert replay(run, made(Hanging, run)) == [
        "Hanging is left out from now on: it has not accepted everything within 0 s"
    ]
    assert time.monotonic() - begun < 5


def test_artefacts_sent_between_sessions_are_kept_and_a_dead_service_is_a_warning(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = made(Notes, run)
    notes.send("model", tmp_path)
    assert isinstance(notes, Notes) and notes.told == [("model", tmp_path.name)]

    class Dead(Notes):
        def connect(self) -> None:
            raise ConnectionError("nobody is there")

    class Mute(Notes):
        def connect(self) -> None:
            time.sleep(60)

    said: list[str] = []
    monkeypatch.setattr(tracker, "PATIENCE", 0.2)
    for kind in (Dead, Mute):
        monkeypatch.setattr("thaw.search.observers.trackers._tracker", lambda name, kind=kind: kind)
        send(["mlflow"], run.folder, "model", tmp_path, said.append)
    assert said == [
        "sending the model to mlflow",
        "warning: mlflow has not accepted the model: nobody is there",
        "sending the model to mlflow",
        "warning: mlflow has not accepted the model: it has not answered within 0 s",
    ]


def test_a_run_keeps_its_identity_wherever_its_folder_is(run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.folder.path, tmp_path / "moved" / run.folder.path.name)
    moved = load_run(tmp_path / "moved" / run.folder.path.name)
    assert made(Notes, moved).identity == made(Notes, run).identity
    first, *rest = moved.folder.events_file.read_text().splitlines()
    later = {**json.loads(first), "time": json.loads(first)["time"] + 1}
    moved.folder.events_file.write_text("\n".join([json.dumps(later), *rest]) + "\n")
    assert made(Notes, moved).identity != made(Notes, run).identity


def test_a_missing_package_is_named_before_anything_starts(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert CLASSES.keys() == TRACKERS.keys()
    monkeypatch.setattr("thaw.search.observers.trackers.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"trackers: mlflow is not installed; pip install 'thaw-tune\[mlflow\]'"):
        build_trackers(["mlflow"], run.folder, run.metric, [])


@pytest.mark.slow
def test_mlflow_has_a_run_per_trial_below_that_of_the_search(
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
        moments = (child.info.start_time, child.info.end_time)
        assert moments == (int(1000 * record.started), int(1000 * record.ended_at))
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


@contextmanager
def mlflow_server(folder: Path, port: int) -> Iterator[None]:
    """A real server with its own database and artefacts, as a team runs one."""
    (folder / "artefacts").mkdir(parents=True, exist_ok=True)
    store = ("--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", f"{folder}/artefacts")
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (folder / "server.log").open("a") as log:
        server = subprocess.Popen([*command, *store], cwd=folder, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + 180
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline, (folder / "server.log").read_text()
                time.sleep(0.3)
        yield
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait()


@pytest.mark.slow
def test_a_search_continues_without_its_server_and_catches_up_in_the_same_run(
    tmp_path: Path, squares: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setattr(tracker, "PATIENCE", 60.0)
    out = io.StringIO()
    console = Console(file=out, width=300)

    class Outage(Observer):
        """Ends the server when the second trial has ended."""

        def ended(self, record: TrialRecord) -> None:
            if record.number == 1:
                time.sleep(3)  # until it has received all earlier calls
                server.close()

    with ExitStack() as server:
        server.enter_context(mlflow_server(tmp_path / "server", port))
        config = small_config(tmp_path, squares, cache, trackers=["mlflow"], **FOUR)
        run = run_search(config, console, backend="inline", observers=[Outage()])
    assert len(run.records) == 4 and run.best is not None
    assert "warning: MLflow is left out from now on: " in out.getvalue()
    assert "warning: mlflow has not accepted the report: " in out.getvalue()
    with mlflow_server(tmp_path / "server", port):
        run = resume_search(run.folder.path, ["search.trials=5"], console, backend="inline")
        load_saved_run(run.folder.path).export(tmp_path / "bundle", progress=False)
        client = mlflow.tracking.MlflowClient()
        experiment = client.get_experiment_by_name("thaw")
        runs = client.search_runs([experiment.experiment_id])
        children = {int(child.data.tags["thaw.trial"]): child for child in runs if "thaw.trial" in child.data.tags}
        [parent] = [other for other in runs if "thaw.trial" not in other.data.tags]
        assert parent.info.status == "FINISHED" and children.keys() == run.records.keys() == set(range(5))
        for number, record in run.records.items():
            curve = client.get_metric_history(children[number].info.run_id, run.metric)
            assert {point.step: point.value for point in curve} == pytest.approx(record.values(run.metric))
            assert len(curve) == len(record.epochs) and children[number].info.status == "FINISHED"
            assert children[number].data.tags["mlflow.parentRunId"] == parent.info.run_id
        kept = {file.path for kind in ("report", "model") for file in client.list_artifacts(parent.info.run_id, kind)}
        assert {"report/index.html", "model/bundle.json", "model/model.safetensors"} <= kept
        page = client.download_artifacts(parent.info.run_id, "report/index.html", str(tmp_path))
        assert run.folder.path.name in Path(page).read_text()


@pytest.mark.slow
def test_wandb_offline_keeps_a_run_per_trial_and_the_artefacts(
    tmp_path: Path, squares: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("wandb")
    for name, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(tracker, "PATIENCE", 400.0)
    out = io.StringIO()
    config = small_config(tmp_path, squares, cache, trackers=["wandb"], **FOUR)
    run = run_search(config, Console(file=out, width=300), backend="inline")
    load_saved_run(run.folder.path).export(tmp_path / "bundle", progress=False)
    resume_search(run.folder.path, ["search.trials=5"], Console(file=out, width=300), backend="inline")
    assert "warning" not in out.getvalue() and out.getvalue().count("sending the report to wandb") == 2
    kept = [folder.name.split("-")[3] for folder in (tmp_path / "wandb").glob("offline-run-*")]
    # The parent: two sessions, the report after each, the model. By their ids, `wandb sync` joins them.
    assert sorted(Counter(kept).values()) == [1, 1, 1, 1, 1, 5]


@pytest.mark.slow
def test_wandb_without_a_key_is_reported_before_anything_starts(tmp_path: Path) -> None:
    pytest.importorskip("wandb")
    code = (
        "from thaw.search.observers.trackers import build_trackers\n"
        "from thaw.spaces import ConfigError\n"
        "try:\n    build_trackers(['wandb'], None, 'val_map', [])\n"
        "except ConfigError as error:\n    print(error)"
    )
    free = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    done = subprocess.run(
        [sys.executable, "-c", code], env={**free, "HOME": str(tmp_path)}, capture_output=True, text=True, timeout=120
    )
    assert "trackers: wandb has no API key; run `wandb login`" in done.stdout, done.stderr
