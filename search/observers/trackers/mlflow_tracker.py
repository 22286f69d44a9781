"""MLflow: one parent run for the search, one run below it for each trial."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from thaw.analysis.records import TrialRecord
from thaw.search.observers.trackers.tracker import Tracker, row_values

RUN, TRIAL = "thaw.run", "thaw.trial"
"""Tags by which a resumed search finds its runs again."""

STATUSES = {"failed": "FAILED"}
"""A trial's status → MLflow's, if that is not FINISHED."""


class MLflow(Tracker):
    """Reports to the server or the database that ``MLFLOW_TRACKING_URI`` names.

    Runs go into the experiment of ``MLFLOW_EXPERIMENT_NAME``, by default ``thaw``.
    """

    def connect(self) -> None:
        # A server makes MLflow print an address whenever a run ends, into the live view.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        self.client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "thaw")
        experiment = self.client.get_experiment_by_name(name)
        self.experiment = experiment.experiment_id if experiment else self.client.create_experiment(name)
        known = self._known()
        parent = known.pop(None, None)
        began = next(self.folder.events())["time"]
        self.parent = parent.info.run_id if parent else self._create(self.folder.path.name, began, {})
        self.runs = {number: run.info.run_id for number, run in known.items() if number is not None}
        self.finished = {number for number, run in known.items() if run.info.status in ("FINISHED", "FAILED")}

    def begin(self, records: Mapping[int, TrialRecord]) -> None:
        self.client.update_run(self.parent, status="RUNNING")
        for record in records.values():
            if record.number in self.finished:
                continue
            told = self._told(record)
            for epoch, event in record.epochs.items():
                if epoch not in told:
                    self.row(record, epoch, row_values(event))
            if record.ended:
                self.end(record)
            elif record.number in self.runs:
                self.client.update_run(self.runs[record.number], status="RUNNING")

    def row(self, record: TrialRecord, epoch: int, values: dict[str, float]) -> None:
        moment = int(1000 * record.epochs[epoch]["time"])
        metrics = [Metric(name, value, moment, epoch) for name, value in values.items()]
        self.client.log_batch(self._run(record), metrics=metrics)

    def end(self, record: TrialRecord) -> None:
        run, moment = self._run(record), int(1000 * record.ended_at)
        best = [Metric(f"best_{name}", value, moment, 0) for name, value in self.best(record).items()]
        tags = [RunTag("thaw.status", record.status), RunTag("thaw.error", record.error)]
        self.client.log_batch(run, metrics=best, tags=tags)
        self.client.set_terminated(run, STATUSES.get(record.status, "FINISHED"), moment)
        self.finished.add(record.number)

    def finish(self) -> None:
        for file in (self.folder.search_file, self.folder.provenance_file, self.folder.trials_file):
            if file.is_file():
                self.client.log_artifact(self.parent, str(file))
        for number in self.runs.keys() - self.finished:
            self.client.set_terminated(self.runs[number], "KILLED")
        self.client.set_terminated(self.parent)

    def keep(self, kind: str, place: Path) -> None:
        if place.is_dir():
            self.client.log_artifacts(self.parent, str(place), kind)
        else:
            self.client.log_artifact(self.parent, str(place), kind)

    def _run(self, record: TrialRecord) -> str:
        if record.number not in self.runs:
            tags = {"mlflow.parentRunId": self.parent, TRIAL: str(record.number)}
            run = self.runs[record.number] = self._create(f"trial {record.number}", record.started, tags)
            given = {name: record.config.get(name) for name in self.searched}
            params = [Param(name, str(value)) for name, value in given.items() if value is not None]
            self.client.log_batch(run, params=params)
        return self.runs[record.number]

    def _create(self, name: str, started: float, tags: dict[str, str]) -> str:
        """The id of a new run. It has begun at `started`, in Unix seconds, which may be some time ago."""
        tags = {RUN: self.identity, "thaw.folder": str(self.folder.path.resolve()), **tags}
        run: Any = self.client.create_run(self.experiment, int(1000 * started), tags, run_name=name)
        return str(run.info.run_id)

    def _known(self) -> dict[int | None, Any]:
        """Trial → run that a former session made; None is the parent."""
        found = self.client.search_runs([self.experiment], f"tags.`{RUN}` = '{self.identity}'", max_results=50_000)
        return {int(run.data.tags[TRIAL]) if TRIAL in run.data.tags else None: run for run in found}

    def _told(self, record: TrialRecord) -> set[int]:
        """The epochs of a trial that the service knows."""
        if record.number not in self.runs:
            return set()
        history = self.client.get_metric_history(self.runs[record.number], self.metric)
        return {point.step for point in history}
