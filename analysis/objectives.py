"""Several objectives: a trial's value of each, and the Pareto front.

The first objective is a metric, the others are costs, see :mod:`thaw.spaces.costs`. A trial's costs are those of the
epoch where its metric is best.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import numpy as np

from thaw.analysis.records import FINISHED, TrialRecord
from thaw.spaces import best_epoch, metric

Point = tuple[float, ...]


def outcome(record: TrialRecord, objectives: Sequence[str], epoch: int | None = None) -> Point:
    """A trial's value of each objective; infinite for a cost that was not recorded.

    Args:
        record: a trial with at least one epoch.
        objectives: the metric's column, then names of costs.
        epoch: by default the one with the best metric.
    """
    column, *costs = objectives
    values = record.values(column)
    epoch = best_epoch(values, column) if epoch is None else epoch
    known = record.epochs[epoch].get("costs", {})
    return (values[epoch], *(known.get(name, math.inf) for name in costs))


def losses(point: Point, objectives: Sequence[str]) -> Point:
    """The same values, signed so that less is better in every objective."""
    return (-point[0] if metric(objectives[0]).maximize else point[0], *point[1:])


def fronts(points: Sequence[Point]) -> list[int]:
    """The front of each point, where less is better: 0 if no other point dominates it, else one more than the largest
    front of its dominators. Equal points are on the same front.

    Source: Deb et al., "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", 2002, section III A.

    Example:
        >>> fronts([(1, 3), (2, 2), (2, 4), (3, 5)])
        [0, 0, 1, 2]
    """
    if not points:
        return []
    # In this order, all dominators of a point come before it.
    rows, places = np.unique(np.array(points, dtype=float), axis=0, return_inverse=True)
    found = np.zeros(len(rows), dtype=int)
    for place in range(1, len(rows)):
        dominators = found[:place][(rows[:place] <= rows[place]).all(axis=1)]
        if len(dominators):
            found[place] = dominators.max() + 1
    return [int(found[place]) for place in places.ravel()]


def pareto_front(records: Iterable[TrialRecord], objectives: Sequence[str]) -> list[TrialRecord]:
    """The finished trials that no other finished one dominates, best by the first objective first.

    Of trials that are equal in all objectives, only the first is included.
    """
    points: dict[Point, TrialRecord] = {}
    for record in sorted(records, key=lambda record: record.number):
        if record.status in FINISHED and record.epochs:
            points.setdefault(losses(outcome(record, objectives), objectives), record)
    placed = zip(points, fronts([*points]), strict=True)
    return [points[point] for point, front in sorted(placed) if front == 0]
