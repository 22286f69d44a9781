"""Predictions for images that the model had not seen, from the trials of a confirmation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from thaw.analysis.records import FINISHED, TrialRecord
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.observers import Observer
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


class PredictionKeeper(Observer):
    """Keeps the predictions of each trial as it ends; its weights need not stay for that.

    Args:
        folder: of the confirmation.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        # The driver may have died between a trial's end and its predictions.
        for record in records.values():
            if not self.folder.fold_predictions(record.number).is_file():
                self.ended(record)

    def ended(self, record: TrialRecord) -> None:
        if record.status not in FINISHED:
            return
        try:
            best = read_best(self.folder.best_file(record.number))
        except ConfigError:
            # The worker could not write it and has said so; the values stand without.
            return
        write_out_of_fold(self.folder.fold_predictions(record.number), OutOfFold(best.logits, best.rows))
