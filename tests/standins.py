"""Trials that fail as real ones occasionally do: they die, run out of memory, raise, or fill the disk."""

from __future__ import annotations

import os
import pickle
import resource
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from thaw.analysis.run_folder import RunFolder
from thaw.trainables.context import RunContext
from thaw.trainables.messages import Report
from thaw.trainables.trainable import TrialTrainable
from thaw.trainables.training import checkpoint, worker
from thaw.trainables.training.trial import Trial


class Standin(TrialTrainable):
    """Acts in the second epoch of trial 0, only once if `ONCE`."""

    ONCE = True

    def step(self) -> dict[str, Any]:
        assert self.worker.trial is not None
        self.interfere(self.worker.trial, self.worker.context)
        return super().step()

    @classmethod
    def interfere(cls, trial: Trial, context: RunContext) -> None:
        if trial.continuation.number == 0 and trial.training.progress.completed == 1 and cls._first(context):
            cls.act()

    @classmethod
    def _first(cls, context: RunContext) -> bool:
        assert isinstance(context.checkpoints, RunFolder)
        mark = context.checkpoints.path / "acted"
        if cls.ONCE and mark.exists():
            return False
        mark.touch()
        return True

    @classmethod
    def act(cls) -> None:
        raise NotImplementedError


def install(standin: type[Standin], backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let searches on a backend run a stand-in."""
    if backend == "ray":
        monkeypatch.setattr("thaw.search.backends.ray.backend.TrialTrainable", standin)
        return
    if backend == "local":
        monkeypatch.setattr(
            "thaw.search.backends.local.backend.packed", lambda *needed: pickle.dumps(Infected(standin, needed))
        )
        return
    monkeypatch.setattr("thaw.search.backends.inline.Trial", acting(standin))


def acting(standin: type[Standin]) -> type[Trial]:
    """A trial that does what the stand-in does."""

    class Acting(Trial):
        def __init__(self, assignment: Any, context: RunContext, *more: Any) -> None:
            super().__init__(assignment, context, *more)
            self.context = context

        def step(self) -> Report:
            standin.interfere(self, self.context)
            return super().step()

    return Acting


class Infected:
    """What a worker needs; unpickling it installs the stand-in in the worker."""

    def __init__(self, standin: type[Standin], needed: tuple[Any, ...]) -> None:
        self.standin, self.needed = standin, needed

    def __reduce__(self) -> tuple[Any, ...]:
        return infect, (self.standin, self.needed)


def infect(standin: type[Standin], needed: tuple[Any, ...]) -> tuple[Any, ...]:
    worker.Trial = acting(standin)  # type: ignore[misc]
    return needed


class DiesInCheckpoint(Standin):
    @classmethod
    def act(cls) -> None:
        def half_written(tensors: dict[str, torch.Tensor], file: Path, metadata: dict[str, str]) -> None:
            file.write_bytes(b"half a checkpoint")
            os.kill(os.getpid(), signal.SIGKILL)

        checkpoint.save_file = half_written  # type: ignore[assignment]


class AlwaysDies(Standin):
    ONCE = False

    @classmethod
    def act(cls) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


class RunsOutOfMemory(Standin):
    @classmethod
    def act(cls) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


class AlwaysRunsOutOfMemory(RunsOutOfMemory):
    ONCE = False


class Raises(Standin):
    @classmethod
    def act(cls) -> None:
        raise ArithmeticError("a custom part went wrong")


class FillsTheDisk(Standin):
    """From the second epoch of trial 0 on, its process cannot write files of more than 1,000 bytes."""

    @classmethod
    def act(cls) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
