"""Weights & Biases: one group for the search, one run in it for each trial."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb

from thaw.analysis.records import TrialRecord
from thaw.search.observers.trackers.tracker import Tracker, row_values
from thaw.spaces import ConfigError


class WeightsAndBiases(Tracker):
    """Reports to the service as set by ``WANDB_MODE`` (``online``, ``offline``), ``WANDB_PROJECT``, ``WANDB_API_KEY``.

    The search itself is a run of the type ``search``, with its files; a resumed search continues its existing runs.
    """

    @classmethod
    def check(cls) -> None:
        # Without a key wandb would ask for one on the terminal, below the live view.
        if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False):
            raise ConfigError("wandb has no API key; run `wandb login`, or set WANDB_MODE=offline", "trackers")

    def connect(self) -> None:
        self.runs: dict[int, Any] = {}
        self.parent = self._init("search", self.folder.path.name, self.folder.settings())

    def begin(self, records: Mapping[int, TrialRecord]) -> None:
        for record in records.values():
            if record.ended:
                continue
            for epoch, event in record.epochs.items():
                self.row(record, epoch, row_values(event))

    def row(self, record: TrialRecord, epoch: int, values: dict[str, float]) -> None:
        self._run(record).log(values, step=epoch)

    def end(self, record: TrialRecord) -> None:
        run = self._run(record)
        run.summary.update({f"best_{name}": value for name, value in self.best(record).items()})
        run.summary.update({"status": record.status, "error": record.error})
        self.runs.pop(record.number).finish(exit_code=int(record.status == "failed"))

    def finish(self) -> None:
        for run in self.runs.values():
            run.finish()
        files = (self.folder.search_file, self.folder.provenance_file, self.folder.trials_file)
        self._log_artefact("search", [file for file in files if file.is_file()])
        self.parent.finish()

    def keep(self, kind: str, place: Path) -> None:
        self._log_artefact(kind, sorted(file for file in place.iterdir()) if place.is_dir() else [place])

    def disconnect(self) -> None:
        self.parent.finish()

    def _log_artefact(self, kind: str, files: Sequence[Path]) -> None:
        artefact = wandb.Artifact(f"{self.folder.path.name}-{kind}", kind)
        for file in files:
            artefact.add_file(str(file))
        self.parent.log_artifact(artefact)

    def _run(self, record: TrialRecord) -> Any:
        if record.number not in self.runs:
            given = {name: record.config.get(name) for name in self.searched}
            config = {name: value for name, value in given.items() if value is not None}
            self.runs[record.number] = self._init("trial", f"trial {record.number}", config)
        return self.runs[record.number]

    def _init(self, kind: str, name: str, config: dict[str, Any]) -> Any:
        place = hashlib.blake2b(f"{self.identity} {name}".encode(), digest_size=8).hexdigest()
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "thaw"),
            group=self.folder.path.name,
            job_type=kind,
            name=name,
            id=place,
            resume="allow",
            config=config,
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off", disable_git=True, save_code=False),
        )
