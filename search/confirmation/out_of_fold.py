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
    """Logits of one configuration, each from a training run that did not use the image.

    Args:
        logits: float32 (M, labels).
        rows: int64 (M,), the image of each; with s seeds, every image occurs s times.
    """

    logits: np.ndarray
    rows: np.ndarray


def read_out_of_fold(file: Path) -> OutOfFold:
    """Read a confirmation's predictions from ``RunFolder.confirmed_predictions(trial)``.

    Raises:
        ConfigError: the file is absent or damaged.
    """
    tensors, _ = read(file)
    return OutOfFold(tensors["logits"].numpy(), tensors["rows"].numpy())


def write_out_of_fold(file: Path, predictions: OutOfFold) -> None:
    """Write them completely or not at all."""
    write(file, {"logits": torch.from_numpy(predictions.logits), "rows": torch.from_numpy(predictions.rows)}, {})


def gathered(parts: Iterable[OutOfFold]) -> OutOfFold:
    """The predictions of all folds and seeds combined."""
    parts = list(parts)
    return OutOfFold(np.concatenate([part.logits for part in parts]), np.concatenate([part.rows for part in parts]))


class PredictionKeeper(Observer):
    """Stores the predictions of each trial when it ends, so that its weights need not be kept.

    Args:
        folder: the folder of the confirmation.
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
            # The worker could not write it and has reported this; the values are valid without it.
            return
        write_out_of_fold(self.folder.fold_predictions(record.number), OutOfFold(best.logits, best.rows))
