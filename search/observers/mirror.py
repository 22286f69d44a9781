"""``study.log``: the search as an Optuna journal, for optuna-dashboard and any other tool of Optuna's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from thaw.analysis.run_folder import RunFolder
from thaw.analysis.tables import TrialRecord
from thaw.search.engine.observers import Observer
from thaw.search.engine.study import Study


class _Journal(JournalFileBackend):
    """A journal that one process writes: no lock, and no wait for the disk at each trial, as it can be made again."""

    def __init__(self, file: Path) -> None:
        super().__init__(str(file))
        self._file = file

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = [json.dumps(log, separators=(",", ":")) + "\n" for log in logs]
        with self._file.open("a", encoding="utf-8") as journal:
            journal.write("".join(lines))


class StudyMirror(Observer):
    """``study.log``: the finished trials in Optuna's journal format, for optuna-dashboard and any Optuna tool.

    It is rewritten when a session begins and never read back. Trials stand in the order of their end, under Optuna's
    own numbers; the user attribute ``trial`` holds Thaw's number.
    """

    def __init__(self, folder: RunFolder, study: Study) -> None:
        self.folder, self.study = folder, study

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        file = self.folder.study_file
        for left_over in self.folder.path.glob(f".{file.name}*"):
            left_over.unlink()
        temporary = file.with_name(f".{file.name}")
        self._mirror = self._open(temporary)
        for number in self.study.ended:
            self.ended(records[number])
        temporary.replace(file)
        self._mirror = self._open(file)

    def _open(self, file: Path) -> optuna.Study:
        storage = JournalStorage(_Journal(file))
        direction = self.study.study.direction
        return optuna.create_study(
            study_name=file.parent.name, storage=storage, direction=direction, load_if_exists=True
        )

    def ended(self, record: TrialRecord) -> None:
        trial = self.study.frozen(record.number)
        trial.set_user_attr("trial", record.number)
        trial.set_user_attr("status", record.status)
        trial.datetime_start = datetime.fromtimestamp(record.started)
        trial.datetime_complete = datetime.fromtimestamp(record.ended_at)
        self._mirror.add_trial(trial)
