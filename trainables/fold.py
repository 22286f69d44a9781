"""What sets a trial of a confirmation apart from one of a search."""

from __future__ import annotations

from dataclasses import dataclass


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
