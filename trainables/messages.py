"""Messages between the search and its workers: an assignment goes out, a report per epoch comes back.

Both are plain values without torch, so that the search stays light and any backend can transport them.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import asdict, dataclass, field
from typing import Any

from thaw.spaces import TrialConfig


@dataclass(frozen=True)
class Fold:
    """One fold of one repetition of a confirmation.

    Args:
        seed: number of the repetition, from 0. Each repetition has its own folds, initial weights, image orders and
            dropout; the views of the images stay the same.
        number: number of the validation fold, from 0.
        epochs: number of epochs after which the trial ends; its state then is its outcome. Nothing about it, not even
            when to stop, is chosen on the validation images.
    """

    seed: int
    number: int
    epochs: int


@dataclass(frozen=True)
class Assignment:
    """A trial to run, from the beginning or from where it stopped.

    Args:
        trial: number of the trial.
        config: its full configuration.
        logged: its last epoch in the event log, 0 for none.
        fold: its validation fold in a confirmation; None in a search.
    """

    trial: int
    config: TrialConfig
    logged: int = 0
    fold: Fold | None = None

    def to_json(self) -> str:
        """JSON for :meth:`from_json`; it is sent faster than nested dictionaries."""
        return json.dumps({**asdict(self), "config": self.config.model_dump()})

    @staticmethod
    def from_json(text: str) -> Assignment:
        """The assignment that :meth:`to_json` was called on."""
        fields: dict[str, Any] = json.loads(text)
        fold = Fold(**fields["fold"]) if fields["fold"] else None
        return Assignment(fields["trial"], TrialConfig(**fields["config"]), fields["logged"], fold)


@dataclass(frozen=True)
class EpochRow:
    """Results of one epoch.

    Args:
        epoch: from 1.
        metrics: ``val_…`` after the epoch, ``train_…`` over the training batches during the epoch; a metric without a
            value, such as ``train_map`` if no image has a label, is left out.
        label_ap: average precision of each label on the validation images; None for a label without positives there.
        learning_rate: learning rate of the head at the last step.
        gradient_norm: L2 norm of all gradients, averaged over the steps.
        seconds: wall time by phase.
        parameters: number of trained parameters.
        finished: ``max_epochs`` or ``patience`` if this was the last epoch, else empty.
        costs: what the whole network costs at inference, of the costs that are objectives.
    """

    epoch: int
    metrics: dict[str, float]
    label_ap: list[float | None]
    learning_rate: float
    gradient_norm: float
    seconds: dict[str, float]
    parameters: int
    finished: str
    costs: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Failure:
    """The trial cannot continue. This is an outcome like any other, not an exception."""

    epoch: int
    reason: str


@dataclass(frozen=True)
class Report:
    """Report of a trial after an epoch.

    Args:
        outcome: the epoch's row, or why there is none.
        worker: the process that ran it, as ``host:pid``.
        warning: a warning for the user, or empty.
    """

    outcome: EpochRow | Failure
    worker: str
    warning: str = ""

    @property
    def last(self) -> bool:
        """Whether the trial has ended by itself, whatever the search decides."""
        return isinstance(self.outcome, Failure) or bool(self.outcome.finished)


def this_worker() -> str:
    """Name of this process in reports."""
    return f"{socket.gethostname()}:{os.getpid()}"
