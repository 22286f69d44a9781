"""Compare groups of trials at equal epochs, and name the comparisons that early stopping leaves open.

Early stopping favours trials that learn fast. Frozen networks do: after one epoch the head has converged, while a
thawed network has only just started. So the value of a stopped trial is never compared with the final value of a trial
that was trained to the end. It is a lower bound on what the trial would have reached. What it *could* have reached is
estimated from trials of the same group that were trained to the end and were no further at that epoch: the largest gain
that one of them made from there on. Trials that were ahead are no guide, because a trial that starts low has more to
gain. If a group has no trial to estimate it from, nothing is known.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import pandas as pd

from thaw.analysis.run_data import RunData
from thaw.analysis.words import listed
from thaw.spaces import metric
from thaw.spaces.words import counted

NAMED = 3
"""The number of groups that a sentence names; the rest are only counted."""


@dataclass(frozen=True)
class Standing:
    """The result of one group of trials within `horizon` epochs, the same number for all groups.

    Args:
        key: the values that its trials have in common.
        best: the best observed value.
        trial, epoch: the trial with that value, and its number of epochs (at most `horizon`).
        could: the best value that the group could hold: equal to `best` if none of its stopped trials could have done
            better, infinite (minus infinity for a loss) if that is unknown for one of them.
        trials: number of trials.
        whole: number of trials trained to the horizon, or ended by patience.
        stopped_by: the last epoch that any other trial reached; 0 if all are whole.
        horizon: number of epochs.
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
        """Whether no trial was trained to the end."""
        return self.whole == 0

    @property
    def settled(self) -> bool:
        """Whether none of the stopped trials could have beaten the best observed value."""
        return self.could == self.best

    @property
    def stopped(self) -> str:
        """``stopped by epoch 1 in 3 of 3 trials``."""
        return f"stopped by epoch {self.stopped_by} in {self.trials - self.whole} of {counted(self.trials, 'trial')}"


@dataclass(frozen=True)
class _Curve:
    """A trial's best value so far (more is better) by epoch, from 1 to the horizon; whether it reaches the horizon."""

    trial: int
    best_so_far: list[float]
    whole: bool

    def after(self, epoch: int) -> float:
        return self.best_so_far[min(epoch, len(self.best_so_far)) - 1]


def standings(run: RunData, trials: pd.DataFrame, by: Sequence[str]) -> list[Standing]:
    """The standing of each group of `trials`, best observed value first.

    Args:
        run: the run of the trials.
        trials: rows of ``run.trials`` with at least one epoch each.
        by: the columns of `trials` to group by.
    """
    sign = 1.0 if metric(run.metric).maximize else -1.0
    groups = {key: rows["trial"].tolist() for key, rows in trials.groupby(list(by), sort=False)}
    horizon = _horizon(run, list(groups.values()))
    found = [_standing(key, [_curve(run, trial, horizon, sign) for trial in members], horizon, sign)
             for key, members in groups.items()]  # fmt: skip
    return sorted(found, key=lambda standing: (-sign * standing.best, standing.trial))


def open_rivals(run: RunData, best: Standing, others: Sequence[Standing]) -> list[Standing]:
    """The groups of `others` that could hold a better value than the best observed one."""
    return [other for other in others if metric(run.metric).better(other.could, best.best)]


def named(parts: Sequence[str]) -> str:
    """Like :func:`thaw.analysis.words.listed`, but names only the first three and counts the rest."""
    shown = list(parts[:NAMED])
    return listed([*shown, f"{len(parts) - NAMED} more"] if len(parts) > NAMED else shown)


def trained_to_the_end(run: RunData, trial: int) -> bool:
    return run.records[trial].status in ("completed", "early_stopped")


def _horizon(run: RunData, groups: Sequence[Sequence[int]]) -> int:
    """The last epoch common to all groups with a trial trained to the end; without any, the last epoch overall."""
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
        best = value if value > best else best  # False for NaN
        best_so_far.append(best)
    length = record.config["epochs"] if trained_to_the_end(run, trial) else max(values)
    return _Curve(trial, best_so_far, length >= horizon)


def _standing(key: Hashable, curves: Sequence[_Curve], horizon: int, sign: float) -> Standing:
    best = max(curves, key=lambda curve: (curve.after(horizon), -curve.trial))
    whole = [curve for curve in curves if curve.whole]
    stopped = [curve for curve in curves if not curve.whole]
    could = best.after(horizon)
    for curve in stopped:
        epoch = len(curve.best_so_far)
        alike = [other for other in whole if other.after(epoch) <= curve.after(epoch)]
        gain = max((other.after(horizon) - other.after(epoch) for other in alike), default=math.inf)
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
