"""Resuming a trial: its worker writes ``last`` after every epoch and reads it when it takes on a trial.

A checkpoint is written before its epoch is reported. So the log never holds an epoch without a checkpoint, and a
checkpoint is at most one epoch ahead of the log; the row of that epoch is in the checkpoint and is reported without
training. A trial's final epoch has no such checkpoint, as nothing follows. If its row is lost, the epoch is trained
again from the checkpoint before it.
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
        folder: folder of the checkpoints; None to write and read nothing.
        number: number of the trial.

    Attributes:
        warning: a warning for the user, or empty.
    """

    def __init__(self, folder: CheckpointFolder | None, number: int) -> None:
        self.folder, self.number = folder, number
        self.warning = ""

    def save(self, training: Training, row: EpochRow) -> None:
        """Write the state after the epoch of `row`. If the disk is full, warn, and train on without checkpoints."""
        if self.folder is None:
            return
        try:
            # `best` first: once `last` includes an epoch, the best one so far is on disk.
            if training.best_so_far:
                write_best(self.folder.best_file(self.number), best_checkpoint(training, row))
            if not row.finished:
                facts = {**_origin(training), "progress": asdict(training.progress), "row": asdict(row)}
                write(self.folder.last_file(self.number), training.tensors(), facts)
        except OSError as error:
            self.warning = f"trial {self.number} continues without a checkpoint: {error}"
            self.folder = None

    def restore(self, training: Training, logged: int) -> EpochRow | None:
        """Bring a new training to the state of its trial's checkpoint, if there is one.

        Args:
            training: a training that has completed no epoch.
            logged: the last epoch in the event log, 0 for none.

        Returns:
            The row of an epoch that was trained but never logged, or None.
        """
        if self.folder is None or not (logged or self.folder.last_file(self.number).exists()):
            return None
        file = self.folder.last_file(self.number)
        try:
            tensors, facts = read(file)
            progress = Progress(**facts["progress"])
            # A hyperparameter that did not exist at the time had its default.
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
    """What must match for a checkpoint to belong to this trial."""
    return {"config": training.config.model_dump(), "seed": training.context.seed}


def best_checkpoint(training: Training, row: EpochRow) -> BestCheckpoint:
    """The state of a training after the epoch of `row`."""
    return BestCheckpoint(
        epoch=row.epoch,
        config=training.config,
        metrics=row.metrics,
        state=training.network.merged_state(),
        logits=training.validation_logits.cpu().numpy(),
        rows=training.context.split.validation,
    )
