"""Rules that stop poor trials early: pure, replayable, without Ray.

A rule decides once about each epoch of each trial (``decide``), which changes nothing. The verdict is logged, and then
the rule records the epoch with its verdict (``note``); replaying the log records the same, which rebuilds the rule.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from thaw.analysis.tables import TrialRecord
from thaw.spaces import STAGES, Metric


@dataclass(frozen=True)
class Decision:
    """The decision on a trial after an epoch.

    Args:
        verdict: ``wait`` means that the trial may continue later, once the rule promotes it.
        reason: a sentence for the user.
    """

    verdict: Literal["continue", "stop", "wait"]
    reason: str = ""


CONTINUE = Decision("continue")


class Rule:
    """Every trial trains to the end; other rules override what they need."""

    def decide(self, trial: TrialRecord, epoch: int, value: float) -> Decision:
        """The decision on a trial whose objective is `value` after `epoch` (from 1).

        Args:
            trial: with its configuration and its epochs before this one.
        """
        return CONTINUE

    def note(self, trial: TrialRecord, epoch: int, value: float, verdict: str) -> None:
        """Record an epoch and its verdict: that of :class:`Decision`, or ``finish`` if the trial ended by itself."""

    def promotion(self, waiting: Collection[int]) -> int | None:
        """The one of the waiting trials that should continue next, if any."""
        return None

    def promoted(self, number: int) -> None:
        """Trial `number` continues from where it waited."""

    def standing(self) -> str:
        """One line for the user on how far trials have come; empty where the rule has no rungs."""
        return ""


class Ladder(Rule):
    """Rungs at the epochs ``grace_period · reduction_factor^k``: the value of each trial that reached them."""

    def __init__(self, metric: Metric, max_epochs: int, grace_period: int, reduction_factor: int) -> None:
        self.metric, self.reduction_factor = metric, reduction_factor
        self.rungs: dict[int, dict[int, float]] = {}
        epoch = grace_period
        while epoch < max_epochs:
            self.rungs[epoch] = {}
            epoch *= reduction_factor

    def note(self, trial: TrialRecord, epoch: int, value: float, verdict: str) -> None:
        if epoch in self.rungs:
            self.rungs[epoch][trial.number] = value

    def standing(self) -> str:
        reached = ", ".join(f"epoch {epoch}: {len(rung)}" for epoch, rung in self.rungs.items() if rung)
        return f"trials at rungs  {reached}" if reached else ""

    def others(self, trial: TrialRecord, epoch: int) -> list[float]:
        """The values of the other trials at a rung."""
        return [value for number, value in self.rungs[epoch].items() if number != trial.number]

    def rank(self, value: float, others: list[float]) -> int:
        """Rank of a value among others, from 1; equal values share the better rank."""
        return 1 + sum(self.metric.better(other, value) for other in others)


class Asha(Ladder):
    """Asynchronous successive halving, stopping variant.

    At each rung, a trial continues only if it is among the best ``1/reduction_factor`` of all trials that have reached
    the rung so far, itself included; the first one always is.
    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, section 3; the paper
    promotes trials; stopping them instead avoids waiting for a promotion.
    """

    def decide(self, trial: TrialRecord, epoch: int, value: float) -> Decision:
        if epoch not in self.rungs:
            return CONTINUE
        others = self.others(trial, epoch)
        there, rank = len(others) + 1, self.rank(value, others)
        keep = max(1, there // self.reduction_factor)
        if rank <= keep:
            return CONTINUE
        return Decision("stop", f"rank {rank} of {there} at the rung of epoch {epoch}, the best {keep} went on")


class AshaPromotion(Ladder):
    """Asynchronous successive halving as published: trials wait at a rung until they are promoted.

    A trial is promoted from a rung once it is among the best ``1/reduction_factor`` there, which may be after others
    have arrived. A free worker takes the promotion from the highest rung, before any new trial.
    Source: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020, algorithm 2.
    """

    def __init__(self, metric: Metric, max_epochs: int, grace_period: int, reduction_factor: int) -> None:
        super().__init__(metric, max_epochs, grace_period, reduction_factor)
        self.gone: dict[int, set[int]] = {epoch: set() for epoch in self.rungs}

    def decide(self, trial: TrialRecord, epoch: int, value: float) -> Decision:
        if epoch not in self.rungs or trial.number in self.gone[epoch]:
            return CONTINUE
        rung = {**self.rungs[epoch], trial.number: value}
        best = self._best(rung)
        if trial.number in best:
            # It would be promoted at once, so it stays with its worker.
            return CONTINUE
        rank = f"rank {self.rank(value, self.others(trial, epoch))} of {len(rung)}"
        return Decision("wait", f"{rank} at the rung of epoch {epoch}, the best {len(best)} may continue")

    def note(self, trial: TrialRecord, epoch: int, value: float, verdict: str) -> None:
        super().note(trial, epoch, value, verdict)
        if epoch in self.rungs and verdict == "continue":
            self.gone[epoch].add(trial.number)

    def _best(self, rung: Mapping[int, float]) -> list[int]:
        """The trials at a rung that may continue, best first; ties in order of arrival."""
        sign = -1.0 if self.metric.maximize else 1.0
        ordered = sorted(rung, key=lambda number: sign * rung[number])
        return ordered[: len(rung) // self.reduction_factor]

    def promotion(self, waiting: Collection[int]) -> int | None:
        for epoch in reversed(self.rungs):
            for number in self._best(self.rungs[epoch]):
                if number in waiting and number not in self.gone[epoch]:
                    return number
        return None

    def promoted(self, number: int) -> None:
        self.gone[max(epoch for epoch, rung in self.rungs.items() if number in rung)].add(number)


class PercentileRule(Rule):
    """Stop a trial whose best value so far is among the worst 30 % of the others' running averages at the same epoch.

    It needs three other trials of its kind that have reached the epoch: heads, or networks that are partly thawed.
    Heads converge in an epoch, so among heads alone the first thawed networks would look poor and be stopped.
    Source: Golovin et al., "Google Vizier", KDD 2017, section 3.2, which uses the median and does not distinguish
    kinds; the percentile was found by replay (``docs/search.md``).
    """

    NEEDED = 3
    SHARE: ClassVar[float] = 0.3
    """The share of trials, the worst, that a trial must not be among."""
    MEASURE: ClassVar[str] = "the 30th percentile"

    def __init__(self, metric: Metric, max_epochs: int, grace_period: int, reduction_factor: int) -> None:
        self.metric, self.grace_period = metric, grace_period
        self.values: dict[int, dict[int, float]] = {}
        self._heads: set[int] = set()

    def decide(self, trial: TrialRecord, epoch: int, value: float) -> Decision:
        others = {
            number: statistics.fmean(v for e, v in series.items() if e <= epoch)
            for number, series in self.values.items()
            if number != trial.number and epoch in series
        }
        alike = [number for number in others if (number in self._heads) == is_head(trial)]
        if epoch < self.grace_period or len(alike) < self.NEEDED:
            return CONTINUE
        share = self.SHARE if self.metric.maximize else 1 - self.SHARE
        limit = float(np.quantile([*others.values()], share))
        own = [*self.values.get(trial.number, {}).values(), value]
        best = max(own) if self.metric.maximize else min(own)
        if not self.metric.better(limit, best):
            return CONTINUE
        reason = f"best value {best:.4g} is worse than {limit:.4g}, {self.MEASURE} of {len(others)} at epoch {epoch}"
        return Decision("stop", reason)

    def note(self, trial: TrialRecord, epoch: int, value: float, verdict: str) -> None:
        self.values.setdefault(trial.number, {})[epoch] = value
        if is_head(trial):
            self._heads.add(trial.number)


class MedianRule(PercentileRule):
    """The same with the median of the others, as in its source."""

    SHARE, MEASURE = 0.5, "the median"


def is_head(trial: TrialRecord) -> bool:
    """Whether nothing but the head is trained."""
    return bool(trial.config.get("freeze_depth") == STAGES)


RULES: dict[str, Callable[[Metric, int, int, int], Rule]] = {
    "asha": Asha,
    "asha_promotion": AshaPromotion,
    "percentile": PercentileRule,
    "median": MedianRule,
    "none": lambda metric, max_epochs, grace_period, reduction_factor: Rule(),
}
"""Scheduler type → rule, from (metric, longest trial in epochs, grace period, reduction factor)."""
