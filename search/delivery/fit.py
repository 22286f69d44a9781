"""Trains one configuration in this process, without a search and without Ray."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from rich.console import Console

from thaw.search.delivery.single import only_trial
from thaw.search.prepare.preflight import Prepared
from thaw.trainables.device import default_device
from thaw.trainables.messages import EpochRow, Failure
from thaw.trainables.training.checkpoint import BestCheckpoint
from thaw.trainables.training.continuation import best_checkpoint
from thaw.trainables.training.loop import Training, train


class TrainingFailed(Exception):
    """The training did not finish; the message says why."""


def fit(
    prepared: Prepared, console: Console, *, epochs: int | None = None, with_validation: bool = False
) -> BestCheckpoint:
    """Train the configuration of a search file that searches nothing; prints one line per epoch.

    Args:
        epochs: train for this many epochs and take the last one. By default train to the end and take the best epoch by
            the search's metric.
        with_validation: train on training and validation images together; metrics on the latter are then meaningless.

    Raises:
        TrainingFailed: a loss was not finite.
    """
    context, shown = prepared.context, (prepared.context.metric, "val_loss")
    if with_validation:
        shown = (f"train_{shown[0].removeprefix('val_')}", "train_loss")
        together = np.union1d(context.split.train, context.split.validation)
        context = replace(context, split=replace(context.split, train=together))
    torch.set_num_threads(prepared.config.resources.cpu)
    device = default_device(prepared.config.resources.gpu or 0)
    training = Training(only_trial(prepared.config), context, prepared.images, device)
    if epochs is not None:
        training.length, training.patience = epochs, 0
    for row in train(training):
        if isinstance(row, Failure):
            raise TrainingFailed(row.reason)
        _print(console, row, training.length, shown)
        if training.best_so_far if epochs is None else row.finished:
            best = best_checkpoint(training, row)
    return best


def _print(console: Console, row: EpochRow, of: int, columns: tuple[str, str]) -> None:
    metrics = "  ".join(f"{column} {row.metrics[column]:.4f}" for column in columns)
    text = f"epoch {row.epoch}/{of}  {metrics}  {sum(row.seconds.values()):.1f} s"
    console.print(text, markup=False, highlight=False, soft_wrap=True)
