"""``study.log``: the search as an Optuna journal, for optuna-dashboard and any other Optuna tool."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend
from optuna.trial import TrialState

from thaw.analysis.run_folder import RunFolder
from thaw.analysis.tables import TrialRecord
from thaw.search.engine.observers import Observer
from thaw.search.engine.study import Study

REPEATED = {"distributions", "params", "user_attrs", "system_attrs", "intermediate_values"}
"""Of a trial that is written whole: what Optuna's storage would keep a second time, and nobody asks it for."""


class _Journal(BaseJournalBackend):
    """A journal with a single writer: no lock, and no wait for the disk at each trial, as it can be rebuilt.

    Args:
        file: written from its beginning; it may be renamed in between.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._unread: list[dict[str, Any]] = []

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        with self.file.open("a", encoding="utf-8") as journal:
            journal.write("".join(lines))
        self._unread += logs

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """What was written since the storage last asked, which it does after each line."""
        logs, self._unread = self._unread, []
        return [{name: value for name, value in log.items() if name not in REPEATED} for log in logs]


class StudyMirror(Observer):
    """``study.log``: the trials in Optuna's journal format, for optuna-dashboard and any Optuna tool.

    It is rewritten when a session begins and never read back. Optuna numbers trials as they come, so a trial that ends
    is preceded by all with lower numbers, as running if necessary: Optuna's numbers are Thaw's.
    """

    def __init__(self, folder: RunFolder, study: Study) -> None:
        self.folder, self.study = folder, study
        self.records: Mapping[int, TrialRecord] = {}
        self._places: list[int] = []
        """Number → the storage's own number of that trial."""

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        file = self.folder.study_file
        for left_over in self.folder.path.glob(f".{file.name}*"):
            left_over.unlink()
        temporary = file.with_name(f".{file.name}")
        self.records, self._places = records, []
        journal = _Journal(temporary)
        self._storage = JournalStorage(journal)
        directions = self.study.study.directions
        study = optuna.create_study(study_name=file.parent.name, storage=self._storage, directions=directions)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            study.set_metric_names([*self.study.objectives])
        self._study = study._study_id
        self._add_to(max((number for number, record in records.items() if record.ended), default=-1))
        temporary.replace(file)
        journal.file = file

    def ended(self, record: TrialRecord) -> None:
        if record.number >= len(self._places):
            self._add_to(record.number)
            return
        # It was running when another one ended.
        place, trial = self._places[record.number], self.study.frozen(record.number)
        for epoch, value in trial.intermediate_values.items():
            self._storage.set_trial_intermediate_value(place, epoch, value)
        self._storage.set_trial_user_attr(place, "status", record.status)
        self._storage.set_trial_state_values(place, trial.state, trial.values)

    def _add_to(self, last: int) -> None:
        """Add all trials up to number `last` that are not there yet."""
        for number in range(len(self._places), last + 1):
            trial, record = self.study.frozen(number), self.records[number]
            trial.set_user_attr("trial", number)
            trial.set_user_attr("status", record.status)
            trial.datetime_start = datetime.fromtimestamp(record.started)
            if record.ended:
                trial.datetime_complete = datetime.fromtimestamp(record.ended_at)
            else:
                trial.state, trial.values = TrialState.RUNNING, None
            self._places.append(self._storage.create_new_trial(self._study, trial))
