"""TensorBoard: one run a trial, with curated scalars and HParams that hold the best values."""

from __future__ import annotations

from typing import Any

from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from analysis.run_folder import RunFolder
from analysis.tables import TrialRecord
from spaces import METRICS, TrialConfig, best_epoch


class TensorBoard:
    """Writes while the search runs.

    Scalars are grouped by metric, so that training and validation stand side by side: ``map/val``, ``map/train``. The
    HParams columns keep one type each for all trials, numbers as floats, and the metrics beside them are those of the
    best epoch, not of the last.
    """

    def __init__(self, folder: RunFolder, metric: str) -> None:
        self.folder, self.metric = folder, metric
        self._writers: dict[int, SummaryWriter] = {}

    def epoch(self, record: TrialRecord, row: dict[str, Any]) -> None:
        writer = self._writer(record.number)
        for column, value in row["metrics"].items():
            split, name = column.split("_", 1)
            writer.add_scalar(f"{name}/{split}", value, row["epoch"])
        writer.add_scalar("learning_rate", row["learning_rate"], row["epoch"])
        writer.add_scalar("gradient_norm", row["gradient_norm"], row["epoch"])
        for phase, seconds in row["seconds"].items():
            writer.add_scalar(f"seconds/{phase}", seconds, row["epoch"])
        writer.flush()

    def ended(self, record: TrialRecord) -> None:
        writer = self._writer(record.number)
        values = record.values(self.metric)
        best = best_epoch(values, self.metric) if values else None
        metrics = record.epochs[best]["metrics"] if best is not None else {}
        # A trial that failed before its first epoch has no values; TensorBoard shows its row with empty cells.
        shown = {f"best/{name}": metrics[f"val_{name}"] for name in METRICS if f"val_{name}" in metrics}
        hyperparameters = {name: _one_type(name, record.config[name]) for name in TrialConfig.model_fields}
        for summary in hparams({**hyperparameters, "status": record.status}, shown):
            writer._get_file_writer().add_summary(summary)
        for name, value in shown.items():
            writer.add_scalar(name, value, best)
        self._writers.pop(record.number).close()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _writer(self, number: int) -> SummaryWriter:
        if number not in self._writers:
            self._writers[number] = SummaryWriter(str(self.folder.tensorboard_run(number)))
        return self._writers[number]


def _one_type(name: str, value: Any) -> float | str:
    return value if isinstance(value, str) else float(value)
