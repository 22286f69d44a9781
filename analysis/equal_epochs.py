"""Groups of trials compared at equal epochs, and what cannot be said because trials were stopped.

A rule that stops trials early keeps those that learn fast. A frozen network does: after one epoch its head has
converged, while a thawed one has just begun. So the value of a stopped trial is never compared with the outcome of a
trial that was trained to the end. It is a lower bound of what the trial would have reached, and the largest gain that a
trial of the same group made from that epoch on says what it *could* have reached. Where no trial of a group was trained
to the end, nothing is known.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import pandas as pd

from thaw.analysis.run_data import RunData
from thaw.analysis.words import counted, listed
from thaw.spaces import metric

NAMED = 3
"""Groups that a sentence names; of further ones it says how many there are."""


@dataclass(frozen=True)
class Standing:
    """What one group of trials reached within `horizon` epochs, the same for all groups.

    Args:
        key: what its trials have in common.
        best: the best value seen.
        trial, epoch: whose value that is, and how long that trial was trained (at most `horizon` epochs).
        could: the best value that the group may hold: the same as `best` if none of its stopped trials could have done
            better, infinite (for a loss minus infinity) if no trial was trained to the end.
        trials: how many there are.
        whole: so many of them were trained to the horizon, or to an end of their own (patience).
        stopped_by: the last epoch that any of the others reached; 0 if all are whole.
        horizon: epochs.
    """

    key: tuple[Hashable, ...]
    best: float
    trial: int
    epoch: int
    could: float
    trials: int
    whole: int
    stopped_by: int
    horizon: int

    @property
    def unknown(self) -> bool:
        """No trial was trained to the end."""
        return self.whole == 0

    @property
    def settled(self) -> bool:
        """None of its stopped trials could have done better than the best value seen."""
        return self.could == self.best

    @property
    def stopped(self) -> str:
        """``stopped by epoch 1 in 3 of 3 trials``."""
        return f"stopped by epoch {self.stopped_by} in {self.trials - self.whole} of {counted(self.trials, 'trial')}"


@dataclass(frozen=True)
class _Curve:
    """A trial's best value so far, more is better, by epoch (from 1) up to the horizon; whether it is all there is."""

    trial: int
    best_so_far: list[float]
    whole: bool

    def after(self, epoch: int) -> float:
        return self.best_so_far[min(epoch, len(self.best_so_far)) - 1]


def standings(run: RunData, trials: pd.DataFrame, by: Sequence[str]) -> list[Standing]:
    """The standing of each group of `trials`, the best value seen first.

    Args:
        run: whose trials they are.
        trials: rows of ``run.trials`` with at least one epoch each.
        by: columns of `trials`; equal values make a group.
    """
    sign = 1.0 if metric(run.metric).maximize else -1.0
    groups = {key: rows["trial"].tolist() for key, rows in trials.groupby(list(by), sort=False)}
    horizon = _horizon(run, list(groups.values()))
    found = [_standing(key, [_curve(run, trial, horizon, sign) for trial in members], horizon, sign)
             for key, members in groups.items()]  # fmt: skip
    return sorted(found, key=lambda standing: (-sign * standing.best, standing.trial))


def open_rivals(run: RunData, best: Standing, others: Sequence[Standing]) -> list[Standing]:
    """Those of `others` that could hold a better value than the best one seen."""
    return [other for other in others if metric(run.metric).better(other.could, best.best)]


def named(parts: Sequence[str]) -> str:
    """As :func:`thaw.analysis.words.listed`, with the number of those beyond the first three."""
    shown = list(parts[:NAMED])
    return listed([*shown, f"{len(parts) - NAMED} more"] if len(parts) > NAMED else shown)


def trained_to_the_end(run: RunData, trial: int) -> bool:
    return run.records[trial].status in ("completed", "early_stopped")


def _horizon(run: RunData, groups: Sequence[Sequence[int]]) -> int:
    """The last epoch that every group reached which holds a whole trial; without any, the last one of all."""
    lengths = [
        max(run.records[trial].config["epochs"] for trial in members if trained_to_the_end(run, trial))
        for members in groups
        if any(trained_to_the_end(run, trial) for trial in members)
    ]
    return min(lengths) if lengths else max(max(run.records[trial].epochs) for group in groups for trial in group)


def _curve(run: RunData, trial: int, horizon: int, sign: float) -> _Curve:
    record = run.records[trial]
    values = record.values(run.metric)
    best_so_far: list[float] = []
    best = -math.inf
    for epoch in range(1, min(horizon, max(values)) + 1):
        value = sign * values.get(epoch, math.nan)
        best = value if value > best else best  # False for what is not a number
        best_so_far.append(best)
    length = record.config["epochs"] if trained_to_the_end(run, trial) else max(values)
    return _Curve(trial, best_so_far, length >= horizon)


def _standing(key: Hashable, curves: Sequence[_Curve], horizon: int, sign: float) -> Standing:
    best = max(curves, key=lambda curve: (curve.after(horizon), -curve.trial))
    whole = [curve for curve in curves if curve.whole]
    stopped = [curve for curve in curves if not curve.whole]
    could = best.after(horizon) if whole else math.inf
    for curve in stopped if whole else []:
        epoch = len(curve.best_so_far)
        gain = max(other.after(horizon) - other.after(epoch) for other in whole)
        could = max(could, curve.after(epoch) + gain)
    return Standing(
        key=key if isinstance(key, tuple) else (key,),
        best=sign * best.after(horizon),
        trial=best.trial,
        epoch=len(best.best_so_far),
        could=sign * could,
        trials=len(curves),
        whole=len(whole),
        stopped_by=max((len(curve.best_so_far) for curve in stopped), default=0),
        horizon=horizon,
    )
