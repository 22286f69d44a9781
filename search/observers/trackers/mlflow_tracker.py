"""MLflow: one parent run for the search, one run below it for each trial."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from mlflow.entities import Metric, Param, RunTag
from mlflow.tracking import MlflowClient

from thaw.analysis.records import TrialRecord
from thaw.search.observers.trackers.tracker import Tracker, row_values

FOLDER, TRIAL = "thaw.folder", "thaw.trial"
"""Tags by which a resumed search finds its runs again."""

STATUSES = {"failed": "FAILED"}
"""A trial's status → MLflow's, where that is not FINISHED."""


class MLflow(Tracker):
    """Tells the server, or the database, that ``MLFLOW_TRACKING_URI`` names.

    Runs go into the experiment of ``MLFLOW_EXPERIMENT_NAME``, by default ``thaw``.
    """

    def begin(self, records: Mapping[int, TrialRecord]) -> None:
        self.client = MlflowClient()
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "thaw")
        experiment = self.client.get_experiment_by_name(name)
        self.experiment = experiment.experiment_id if experiment else self.client.create_experiment(name)
        known = self._known()
        self.parent = known.pop(None, "") or self._create(self.folder.path.name, {})
        self.runs = {number: run for number, run in known.items() if number is not None}
        for record in records.values():
            if record.number in self.runs:
                continue
            for epoch, event in record.epochs.items():
                self.row(record, epoch, row_values(event))
            if record.ended:
                self.end(record)

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

    def finish(self) -> None:
        for file in (self.folder.search_file, self.folder.provenance_file, self.folder.trials_file):
            if file.is_file():
                self.client.log_artifact(self.parent, str(file))
        self.client.set_terminated(self.parent)

    def _run(self, record: TrialRecord) -> str:
        if record.number not in self.runs:
            tags = {"mlflow.parentRunId": self.parent, TRIAL: str(record.number)}
            run = self.runs[record.number] = self._create(f"trial {record.number}", tags)
            given = {name: record.config.get(name) for name in self.searched}
            params = [Param(name, str(value)) for name, value in given.items() if value is not None]
            self.client.log_batch(run, params=params)
        return self.runs[record.number]

    def _create(self, name: str, tags: dict[str, str]) -> str:
        tags = {FOLDER: str(self.folder.path), **tags}
        run: Any = self.client.create_run(self.experiment, tags=tags, run_name=name)
        return str(run.info.run_id)

    def _known(self) -> dict[int | None, str]:
        """Trial → run that a former session made; None is the parent."""
        place = str(self.folder.path).replace("'", "\\'")
        found = self.client.search_runs([self.experiment], f"tags.`{FOLDER}` = '{place}'", max_results=50_000)
        return {int(run.data.tags[TRIAL]) if TRIAL in run.data.tags else None: run.info.run_id for run in found}
