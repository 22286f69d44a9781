"""What trials cost: *here*, and what each would have cost *by itself*.

The activations that leave a frozen prefix are computed once and shared by all trials of that network and freeze depth
(``thaw/trainables/activations/inputs.py``). Whichever trial comes first waits for them, so they are charged to the
network and depth and not to a trial. Here, a trial cost its training and validation; by itself it would have had to
compute the activations, too. Activations that an earlier run left in the cache are free here, and what they had cost is
not known.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pandas as pd

from thaw.analysis.records import TrialRecord

SHARED = "prefix"
"""The phase of an epoch in which shared activations are computed or awaited."""

Prefix = tuple[str, int]
"""A network and how many of its stages are frozen."""


def own_seconds(record: TrialRecord, epoch: int) -> float:
    """Seconds that an epoch of a trial took without what it shares with others."""
    return sum(seconds for phase, seconds in record.epochs[epoch]["seconds"].items() if phase != SHARED)


def prefix(record: TrialRecord) -> Prefix:
    return record.config["architecture"], record.config["freeze_depth"]


def shared_seconds(records: Iterable[TrialRecord]) -> dict[Prefix, dict[int, float]]:
    """Network and freeze depth → epoch → seconds that all trials together spent on activations for that epoch.

    An epoch has its own entry because augmented images may differ from epoch to epoch.
    """
    shared: dict[Prefix, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for record in records:
        for epoch, row in record.epochs.items():
            shared[prefix(record)][epoch] += row["seconds"].get(SHARED, 0.0)
    return shared


def seconds_alone(record: TrialRecord, records: Iterable[TrialRecord]) -> float:
    """What a trial has cost by itself after its last epoch: the last column of :func:`cost_table`.

    Args:
        records: all trials so far, this one among them; what they spent on activations that this one shares counts.
    """
    alike = [other for other in records if prefix(other) == prefix(record)]
    shared = shared_seconds(alike)[prefix(record)]
    return sum(own_seconds(record, epoch) + shared[epoch] for epoch in record.epochs)


def cost_table(records: Iterable[TrialRecord]) -> pd.DataFrame:
    """What each trial had cost after each of its epochs.

    Returns:
        Rows trial, epoch, seconds (here: training and validation so far), seconds_alone (the same and the activations
        of its network and freeze depth, for the epochs so far); by trial and epoch.
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
