"""Rules that stop poor trials early: pure, replayable, without Ray.

A rule sees every epoch of every trial, in the order of the event log, and says which trials to stop. Recording an
epoch twice changes nothing, so a rule can be rebuilt by replaying the log.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from thaw.spaces import Metric


@dataclass(frozen=True)
class Decision:
    """What becomes of a trial after an epoch.

    Args:
        verdict: ``wait`` means that the trial may go on later, once the rule promotes it.
        reason: a sentence for the user.
    """

    verdict: Literal["continue", "stop", "wait"]
    reason: str = ""

    @property
    def stop(self) -> bool:
        """Whether the trial leaves its worker."""
        return self.verdict != "continue"


CONTINUE = Decision("continue")


class Rule:
    """Every trial trains to its end; other rules override what they need."""

    def record(self, number: int, epoch: int, value: float) -> Decision:
        """Note the value that trial `number` has after `epoch` (from 1), and decide on the trial."""
        return CONTINUE

    def promotion(self) -> int | None:
        """The waiting trial that is to go on next, if one is."""
        return None

    def promoted(self, number: int) -> None:
        """Trial `number` goes on from where it waited."""

    def ended(self, number: int) -> None:
        """Trial `number` is over."""


class Ladder(Rule):
    """Rungs at the epochs ``grace_period · reduction_factor^k``: what each trial that came so far was worth there."""

    def __init__(self, metric: Metric, max_epochs: int, grace_period: int, reduction_factor: int) -> None:
        self.metric, self.reduction_factor = metric, reduction_factor
        self.rungs: dict[int, dict[int, float]] = {}
        epoch = grace_period
        while epoch < max_epochs:
            self.rungs[epoch] = {}
            epoch *= reduction_factor

    def rank(self, epoch: int, number: int) -> int:
        """Place of a trial at a rung, from 1; equals share the better place."""
        rung = self.rungs[epoch]
        return 1 + sum(self.metric.better(other, rung[number]) for other in rung.values())


class Asha(Ladder):
    """Asynchronous successive halving, stopping variant.

    At each rung a trial goes on only if it is among the best ``1/reduction_factor`` of all trials that have reached the
    rung so far, itself included; the first one always is.
    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, section 3; the paper
    promotes trials, stopping them instead spares the wait for a promotion.
    """

    def record(self, number: int, epoch: int, value: float) -> Decision:
        rung = self.rungs.get(epoch)
        if rung is None:
            return CONTINUE
        rung[number] = value
        rank, keep = self.rank(epoch, number), max(1, len(rung) // self.reduction_factor)
        if rank <= keep:
            return CONTINUE
        return Decision("stop", f"rank {rank} of {len(rung)} at the rung of epoch {epoch}, the best {keep} went on")


class AshaPromotion(Ladder):
    """Asynchronous successive halving as published: trials wait at a rung until they are promoted.

    A trial is promoted from a rung once it is among the best ``1/reduction_factor`` there, which may be when others
    have come. A free worker takes the promotion from the highest rung, before any new trial.
    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, algorithm 2.
    """

    def __init__(self, metric: Metric, max_epochs: int, grace_period: int, reduction_factor: int) -> None:
        super().__init__(metric, max_epochs, grace_period, reduction_factor)
        self.gone: dict[int, set[int]] = {epoch: set() for epoch in self.rungs}
        self._ended: set[int] = set()

    def record(self, number: int, epoch: int, value: float) -> Decision:
        rung = self.rungs.get(epoch)
        if rung is None or number in self.gone[epoch]:
            return CONTINUE
        rung[number] = value
        best = self._best(epoch)
        if number in best:
            # It would be promoted at once, so it stays with its worker.
            self.gone[epoch].add(number)
            return CONTINUE
        rank = f"rank {self.rank(epoch, number)} of {len(rung)}"
        return Decision("wait", f"{rank} at the rung of epoch {epoch}, the best {len(best)} may go on")

    def _best(self, epoch: int) -> list[int]:
        """The trials at a rung that may go on, best first, of equals those that came first."""
        rung, sign = self.rungs[epoch], -1.0 if self.metric.maximize else 1.0
        ordered = sorted(rung, key=lambda number: (math.isnan(rung[number]), sign * rung[number]))
        return ordered[: len(rung) // self.reduction_factor]

    def promotion(self) -> int | None:
        for epoch in reversed(self.rungs):
            for number in self._best(epoch):
                if number not in self.gone[epoch] and number not in self._ended:
                    return number
        return None

    def promoted(self, number: int) -> None:
        self.gone[max(epoch for epoch, rung in self.rungs.items() if number in rung)].add(number)

    def ended(self, number: int) -> None:
        self._ended.add(number)


class MedianRule(Rule):
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
        reason = f"best value {best:.4g} is worse than {median:.4g}, the median of {len(others)} at epoch {epoch}"
        return Decision("stop", reason)


RULES: dict[str, Callable[[Metric, int, int, int], Rule]] = {
    "asha": Asha,
    "asha_promotion": AshaPromotion,
    "median": MedianRule,
    "none": lambda metric, max_epochs, grace_period, reduction_factor: Rule(),
}
"""Scheduler type → rule, from (metric, longest trial in epochs, grace period, reduction factor)."""
