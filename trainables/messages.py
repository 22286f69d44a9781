"""What the search and its workers say to each other: an assignment goes out, a report an epoch comes back.

Both are plain values without torch, so that the search's side stays light and any backend can carry them.
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
        seed: number of the repetition, from 0. Another one deals out other folds, and draws other initial weights,
            orders and dropout; the views of the images stay.
        number: of the fold that validates, from 0.
        epochs: after so many the trial ends, and what it is then is its outcome. Nothing about it, not even when to
            stop, is chosen by the images that validate it.
    """

    seed: int
    number: int
    epochs: int


@dataclass(frozen=True)
class Assignment:
    """A trial to run, from the beginning or from where it was.

    Args:
        trial: its number.
        config: its whole configuration.
        logged: the last of its epochs in the event log, 0 for none.
        fold: what it validates on in a confirmation; None in a search.
    """

    trial: int
    config: TrialConfig
    logged: int = 0
    fold: Fold | None = None

    def to_json(self) -> str:
        """A text that :meth:`from_json` takes; it travels faster than nested dictionaries."""
        return json.dumps({**asdict(self), "config": self.config.model_dump()})

    @staticmethod
    def from_json(text: str) -> Assignment:
        """What :meth:`to_json` was called on."""
        fields: dict[str, Any] = json.loads(text)
        fold = Fold(**fields["fold"]) if fields["fold"] else None
        return Assignment(fields["trial"], TrialConfig(**fields["config"]), fields["logged"], fold)


@dataclass(frozen=True)
class EpochRow:
    """What one epoch gave.

    Args:
        epoch: from 1.
        metrics: ``val_…`` after the epoch, ``train_…`` over the training batches as they passed; one that has no value,
            such as ``train_map`` where no image had a label, is left out.
        label_ap: average precision of each label on validation data; None where a label has no positive there.
        learning_rate: of the head at the last step.
        gradient_norm: L2 norm of all gradients, averaged over the steps.
        seconds: wall time by phase.
        parameters: number of trained weights.
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
    """The trial cannot go on: no exception, but an outcome like any other."""

    epoch: int
    reason: str


@dataclass(frozen=True)
class Report:
    """What a trial says after an epoch.

    Args:
        outcome: the epoch's row, or why there is none.
        worker: the process, as ``host:pid``.
        warning: what the user should know, or empty.
    """

    outcome: EpochRow | Failure
    worker: str
    warning: str = ""

    @property
    def last(self) -> bool:
        """Whether the trial is at its end by its own account, whatever the search decides."""
        return isinstance(self.outcome, Failure) or bool(self.outcome.finished)


def this_worker() -> str:
    """The name of this process in reports."""
    return f"{socket.gethostname()}:{os.getpid()}"
