"""Rules that stop trials if there are several objectives: a trial is better if it lies on a better front.

They are the rules of :mod:`thaw.search.engine.rules`. A value is a vector here, and less is better in each place.
"""

from __future__ import annotations

import math
import statistics
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from thaw.analysis.objectives import Point, fronts
from thaw.analysis.records import TrialRecord
from thaw.search.engine.rules import CONTINUE, Asha, AshaPromotion, Decision, Ladder, MedianRule, PercentileRule, Rule
from thaw.spaces import Metric


def places(points: Sequence[Point]) -> list[int]:
    """The rank of each point, from 1: by fronts, and within a front by crowding distance, the largest first.

    Equal points share the better rank. Sources: NSGA-II (see :func:`thaw.analysis.objectives.fronts`), section III B;
    for rungs of successive halving, Schmucker et al., "Multi-objective Asynchronous Successive Halving", 2021.

    Example: the ends of a front come before its middle.
        >>> places([(1, 3), (2, 2), (3, 1), (4, 4)])
        [1, 3, 1, 4]
    """
    front = fronts(points)
    together: dict[int, set[Point]] = defaultdict(set)
    for point, own in zip(points, front, strict=True):
        together[own].add(point)
    room = {point: size for members in together.values() for point, size in _room(sorted(members)).items()}
    keys = [(own, -room[point]) for point, own in zip(points, front, strict=True)]
    ordered = sorted(keys)
    return [1 + bisect_left(ordered, key) for key in keys]


def _room(points: Sequence[Point]) -> dict[Point, float]:
    """Of different points of one front the distance between its neighbours, summed over the objectives as shares of
    their ranges; infinite at the ends."""
    room = dict.fromkeys(points, 0.0)
    for objective in range(len(points[0])):
        ordered = sorted(points, key=lambda point: point[objective])
        low, high = ordered[0][objective], ordered[-1][objective]
        room[ordered[0]] = room[ordered[-1]] = math.inf
        if low < high:
            for before, point, after in zip(ordered, ordered[1:], ordered[2:], strict=False):
                room[point] += (after[objective] - before[objective]) / (high - low)
    return room


class _FrontLadder(Ladder):
    def rank(self, value: Any, others: list[Any]) -> int:
        return places([*others, value])[-1]


class FrontAsha(_FrontLadder, Asha):
    """ASHA whose rungs keep the best ``1/reduction_factor`` by :func:`places`."""


class FrontAshaPromotion(_FrontLadder, AshaPromotion):
    """The same with trials that wait."""

    def _best(self, rung: Mapping[int, Any]) -> list[int]:
        place = dict(zip(rung, places([*rung.values()]), strict=True))
        ordered = sorted(rung, key=lambda number: place[number])
        return ordered[: len(rung) // self.reduction_factor]


class FrontPercentile(PercentileRule):
    """Stop a trial whose front, among the others' running averages, is among the worst 30 % of their fronts.

    A trial's metric is the best so far, as with one objective.
    """

    def decide(self, trial: TrialRecord, epoch: int, value: Any) -> Decision:
        others = [
            tuple(map(statistics.fmean, zip(*(v for e, v in series.items() if e <= epoch), strict=True)))
            for number, series in self.values.items()
            if number != trial.number and epoch in series
        ]
        if epoch < self.grace_period or len(others) < self.NEEDED:
            return CONTINUE
        own: list[Any] = [*self.values.get(trial.number, {}).values(), value]
        *theirs, mine = fronts([*others, (min(point[0] for point in own), *value[1:])])
        limit = float(np.quantile(theirs, 1 - self.SHARE))
        if mine <= limit:
            return CONTINUE
        return Decision(
            "stop",
            f"on front {mine + 1} of the objectives, {self.MEASURE} of {len(others)} at epoch {epoch} is front "
            f"{limit + 1:g}",
        )


class FrontMedian(FrontPercentile, MedianRule):
    """The same with the median of their fronts."""


FRONT_RULES: dict[str, Callable[[Metric, int, int, int], Rule]] = {
    "asha": FrontAsha,
    "asha_promotion": FrontAshaPromotion,
    "percentile": FrontPercentile,
    "median": FrontMedian,
    "none": lambda metric, max_epochs, grace_period, reduction_factor: Rule(),
}
"""As ``RULES``, for several objectives."""
