"""Predictions for images that the model had not seen, from the trials of a confirmation."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from thaw.analysis.records import FINISHED, TrialRecord
from thaw.analysis.run_folder import RunFolder
from thaw.spaces import ConfigError
from thaw.trainables.training.checkpoint import read, read_best, write


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Logits of one configuration, each from a training that the image had no part in.

    Args:
        logits: float32 (M, labels).
        rows: int64 (M,), which image each is of; over s seeds every image stands there s times.
    """

    logits: np.ndarray
    rows: np.ndarray


def read_out_of_fold(file: Path) -> OutOfFold:
    """Read what a confirmation left, from ``RunFolder.confirmed_predictions(trial)``.

    Raises:
        ConfigError: the file is absent or damaged.
    """
    tensors, _ = read(file)
    return OutOfFold(tensors["logits"].numpy(), tensors["rows"].numpy())


def write_out_of_fold(file: Path, predictions: OutOfFold) -> None:
    """Write them whole or not at all."""
    write(file, {"logits": torch.from_numpy(predictions.logits), "rows": torch.from_numpy(predictions.rows)}, {})


def gathered(parts: Iterable[OutOfFold]) -> OutOfFold:
    """The predictions of all folds and seeds in one."""
    parts = list(parts)
    return OutOfFold(np.concatenate([part.logits for part in parts]), np.concatenate([part.rows for part in parts]))


class PredictionKeeper:
    """An observer that keeps the predictions of each trial as it ends; its weights need not stay for that.

    Args:
        folder: of the confirmation.
        records: of its trials so far. The driver may have died between a trial's end and this.
    """

    def __init__(self, folder: RunFolder, records: Iterable[TrialRecord]) -> None:
        self.folder = folder
        for record in records:
            if not folder.fold_predictions(record.number).is_file():
                self.ended(record)

    def epoch(self, record: TrialRecord, row: dict[str, Any]) -> None:
        """Only the outcome counts."""

    def paused(self, record: TrialRecord, reason: str) -> None:
        """It goes on, and ends later."""

    def ended(self, record: TrialRecord) -> None:
        if record.status not in FINISHED:
            return
        try:
            best = read_best(self.folder.best_file(record.number))
        except ConfigError:
            # The worker could not write it and has said so; the values stand without.
            return
        write_out_of_fold(self.folder.fold_predictions(record.number), OutOfFold(best.logits, best.rows))

    def close(self) -> None:
        """Nothing stays open."""
