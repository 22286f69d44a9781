"""How a trial goes on where it was: its worker writes ``last`` after every epoch and reads it when it takes a trial up.

A checkpoint is written before its epoch is reported. So the log never knows an epoch that has no checkpoint, and a
checkpoint is at most one epoch ahead of the log: its row stands in it and is then reported without training. The epoch
by which a trial finishes has none: nothing follows. Should its row be lost, it is trained again from the one before.
"""

from __future__ import annotations

from dataclasses import asdict

from thaw.spaces import ConfigError, TrialConfig
from thaw.trainables.context import CheckpointFolder
from thaw.trainables.messages import EpochRow
from thaw.trainables.training.checkpoint import BestCheckpoint, read, write, write_best
from thaw.trainables.training.loop import Progress, Training


class Continuation:
    """One trial's checkpoints.

    Args:
        folder: None writes and reads nothing.
        number: the trial's.

    Attributes:
        warning: what the user should know, or empty.
    """

    def __init__(self, folder: CheckpointFolder | None, number: int) -> None:
        self.folder, self.number = folder, number
        self.warning = ""

    def save(self, training: Training, row: EpochRow) -> None:
        """Keep the state after the epoch of `row`. A full disk is a warning; the training goes on without."""
        if self.folder is None:
            return
        try:
            # The best first: once `last` knows of an epoch, the best so far is on the disk.
            if training.best_so_far:
                write_best(self.folder.best_file(self.number), best_checkpoint(training, row))
            if not row.finished:
                facts = {**_origin(training), "progress": asdict(training.progress), "row": asdict(row)}
                write(self.folder.last_file(self.number), training.tensors(), facts)
        except OSError as error:
            self.warning = f"trial {self.number} goes on without a checkpoint: {error}"
            self.folder = None

    def restore(self, training: Training, logged: int) -> EpochRow | None:
        """Bring a new training to where its trial was, if it was somewhere.

        Args:
            training: just begun.
            logged: the last epoch in the event log, 0 for none.

        Returns:
            The row of an epoch that was trained and never logged, or None.
        """
        if self.folder is None or not (logged or self.folder.last_file(self.number).exists()):
            return None
        file = self.folder.last_file(self.number)
        try:
            tensors, facts = read(file)
            progress = Progress(**facts["progress"])
            # A hyperparameter that did not exist then had its default.
            facts["config"] = TrialConfig().model_dump() | facts["config"]
            if any(facts[name] != value for name, value in _origin(training).items()):
                raise ConfigError("belongs to another configuration", file=file)
            if progress.completed > logged + 1:
                raise ConfigError(f"is at epoch {progress.completed}, the event log at {logged}", file=file)
        except ConfigError as error:
            self.warning = f"trial {self.number} restarts from epoch 1: {error}" if logged else ""
            return None
        training.load(progress, tensors)
        return EpochRow(**facts["row"]) if progress.completed == logged + 1 else None


def _origin(training: Training) -> dict[str, object]:
    """What must be equal for a checkpoint to be this trial's."""
    return {"config": training.config.model_dump(), "seed": training.context.seed}


def best_checkpoint(training: Training, row: EpochRow) -> BestCheckpoint:
    """A training as it is after the epoch of `row`."""
    return BestCheckpoint(
        epoch=row.epoch,
        config=training.config,
        metrics=row.metrics,
        state=training.network.merged_state(),
        logits=training.validation_logits.cpu().numpy(),
        rows=training.context.split.validation,
    )
