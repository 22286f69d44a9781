"""Rules that stop poor trials early: pure, replayable, without Ray.

A rule sees every epoch of every trial, in the order of the event log, and says which trials to stop. Recording an
epoch twice changes nothing, so a rule can be rebuilt by replaying the log.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from spaces import Metric


@dataclass(frozen=True)
class Decision:
    """What becomes of a trial after an epoch; `reason` is a sentence for the user."""

    stop: bool
    reason: str = ""


CONTINUE = Decision(stop=False)


class Rule(Protocol):
    """One call an epoch."""

    def record(self, number: int, epoch: int, value: float) -> Decision:
        """Note the value that trial `number` has after `epoch` (from 1), and decide on the trial."""


class NoRule:
    """Every trial trains to its end."""

    def record(self, number: int, epoch: int, value: float) -> Decision:
        return CONTINUE


class Asha:
    """Asynchronous successive halving, stopping variant, on a ladder of rungs.

    At the rungs (epochs ``grace_period · reduction_factor^k``) a trial goes on only if it is among the best
    ``1/reduction_factor`` of all trials that have reached the rung so far, itself included; the first one always is.
    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, section 3; the paper
    promotes trials, stopping them instead spares the wait for a promotion.
    """

    def __init__(self, metric: Metric, max_epochs: int, grace_period: int, reduction_factor: int) -> None:
        self.metric, self.reduction_factor = metric, reduction_factor
        self.rungs: dict[int, dict[int, float]] = {}
        epoch = grace_period
        while epoch < max_epochs:
            self.rungs[epoch] = {}
            epoch *= reduction_factor

    def record(self, number: int, epoch: int, value: float) -> Decision:
        rung = self.rungs.get(epoch)
        if rung is None:
            return CONTINUE
        rung[number] = value
        rank = 1 + sum(self.metric.better(other, value) for other in rung.values())
        keep = max(1, len(rung) // self.reduction_factor)
        if rank <= keep:
            return CONTINUE
        return Decision(True, f"rank {rank} of {len(rung)} at the rung of epoch {epoch}, the best {keep} went on")


class MedianRule:
    """Stop a trial whose best value so far is worse than the median of the others' running averages at the same epoch.

    It needs three other trials that have reached the epoch.
    Source: Golovin et al., "Google Vizier", KDD 2017, section 3.2.
    """

    NEEDED = 3

    def __init__(self, metric: Metric, max_epochs: int, grace_period: int, reduction_factor: int) -> None:
        self.metric, self.grace_period = metric, grace_period
        self.values: dict[int, dict[int, float]] = {}

    def record(self, number: int, epoch: int, value: float) -> Decision:
        self.values.setdefault(number, {})[epoch] = value
        others = [
            statistics.fmean(v for e, v in series.items() if e <= epoch)
            for other, series in self.values.items()
            if other != number and epoch in series
        ]
        if epoch < self.grace_period or len(others) < self.NEEDED:
            return CONTINUE
        median = statistics.median(others)
        own = self.values[number].values()
        best = max(own) if self.metric.maximize else min(own)
        if not self.metric.better(median, best):
            return CONTINUE
        return Decision(
            True, f"best value {best:.4g} is worse than {median:.4g}, the median of {len(others)} at epoch {epoch}"
        )


RULES: dict[str, Callable[[Metric, int, int, int], Rule]] = {
    "asha": Asha,
    "median": MedianRule,
    "none": lambda metric, max_epochs, grace_period, reduction_factor: NoRule(),
}
"""Scheduler type → rule, from (metric, longest trial in epochs, grace period, reduction factor)."""
