"""The cost of trials: *here*, in this search, and what each would have cost *by itself*, as the only trial.

The activations at the output of a frozen prefix are computed once and shared by all trials of that network and freeze
depth (``thaw/trainables/activations/inputs.py``). The first of these trials waits for them, so they are charged to the
network and depth, not to a trial. The cost here is that of training and validation; by itself, a trial would also have
had to compute the activations. Activations cached by an earlier run are free here, and their original cost is unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pandas as pd

from thaw.analysis.records import TrialRecord

SHARED = "prefix"
"""The phase of an epoch that computes shared activations or waits for them."""

Prefix = tuple[str, int]
"""A network and its number of frozen stages."""


def own_seconds(record: TrialRecord, epoch: int) -> float:
    """Seconds that an epoch of a trial took, without the activations that it shares with other trials."""
    return sum(seconds for phase, seconds in record.epochs[epoch]["seconds"].items() if phase != SHARED)


def prefix(record: TrialRecord) -> Prefix:
    return record.config["architecture"], record.config["freeze_depth"]


def shared_seconds(records: Iterable[TrialRecord]) -> dict[Prefix, dict[int, float]]:
    """Network and freeze depth → epoch → total seconds that all trials spent on activations for that epoch.

    Each epoch has its own entry because augmented images may differ from epoch to epoch.
    """
    shared: dict[Prefix, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for record in records:
        for epoch, row in record.epochs.items():
            shared[prefix(record)][epoch] += row["seconds"].get(SHARED, 0.0)
    return shared


def seconds_alone(record: TrialRecord, records: Iterable[TrialRecord]) -> float:
    """Seconds that a trial has cost by itself after its last epoch: the last column of :func:`cost_table`.

    Args:
        records: all trials so far, including this one; the time they spent on activations shared with it counts.
    """
    alike = [other for other in records if prefix(other) == prefix(record)]
    shared = shared_seconds(alike)[prefix(record)]
    return sum(own_seconds(record, epoch) + shared[epoch] for epoch in record.epochs)


def cost_table(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """The cumulative cost of each trial after each of its epochs.

    Returns:
        Rows trial, epoch, seconds (here: training and validation so far), seconds_alone (the same plus the activations
        of its network and freeze depth for the epochs so far), sorted by trial and epoch.
    """
    records = sorted(records, key=lambda record: record.number)
    shared = shared_seconds(records)
    rows = []
    for record in records:
        here = activations = 0.0
        for epoch in sorted(record.epochs):
            here += own_seconds(record, epoch)
            activations += shared[prefix(record)][epoch]
            rows.append((record.number, epoch, here, here + activations))
    return pd.DataFrame(rows, columns=["trial", "epoch", "seconds", "seconds_alone"])
