"""Trainables that do in a worker what real ones do only at times: die, run out of memory, fill the disk."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import Any

import torch

from thaw.analysis.run_folder import RunFolder
from thaw.trainables.trainable import TrialTrainable
from thaw.trainables.training import checkpoint


class Standin(TrialTrainable):
    """Acts in the second epoch of trial 0, the first time if `ONCE`."""

    ONCE = True

    def step(self) -> dict[str, Any]:
        if self.continuation.number == 0 and self.training.progress.completed == 1 and self._first():
            self.act()
        return super().step()

    def _first(self) -> bool:
        folder = self.context.checkpoints
        assert isinstance(folder, RunFolder)
        mark = folder.ray / "acted"
        if self.ONCE and mark.exists():
            return False
        mark.touch()
        return True

    def act(self) -> None:
        raise NotImplementedError


class DiesInCheckpoint(Standin):
    def act(self) -> None:
        def half_written(tensors: dict[str, torch.Tensor], file: Path, metadata: dict[str, str]) -> None:
            file.write_bytes(b"half a checkpoint")
            os.kill(os.getpid(), signal.SIGKILL)

        checkpoint.save_file = half_written  # type: ignore[assignment]


class AlwaysDies(Standin):
    ONCE = False

    def act(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class RunsOutOfMemory(Standin):
    def act(self) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


class Raises(Standin):
    def act(self) -> None:
        raise ArithmeticError("a custom part went wrong")


class FillsTheDisk(Standin):
    """From the second epoch of any trial on, this worker cannot write files of more than a few bytes."""

    def act(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
