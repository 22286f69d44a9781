"""What a run has spent, and what stopping trials early has spared it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from thaw.analysis.plots.fates import FATES
from thaw.analysis.records import TrialRecord
from thaw.analysis.run_data import RunData
from thaw.analysis.words import counted, duration, listed

STOPPED = ("pruned", "early_stopped")


@dataclass(frozen=True)
class Spending:
    """Trials by status (in the order of legends), epochs, seconds.

    Args:
        trials: status → number of trials.
        epochs: trained and validated ones.
        training: seconds of all trials together, whether or not they ran at the same time.
        searching: seconds that the search took.
        spared_epochs, spared_seconds: what the stopped trials would have needed to reach their last possible epoch, at
            the pace each of them had.
    """

    trials: dict[str, int]
    epochs: int
    training: float
    searching: float
    spared_epochs: int
    spared_seconds: float


def spending(run: RunData) -> Spending:
    records = run.records.values()
    counts = Counter(record.status for record in records)
    stopped = [record for record in records if record.status in STOPPED and record.epochs]
    return Spending(
        trials={status: counts[status] for status in FATES if counts[status]},
        epochs=sum(len(record.epochs) for record in records),
        training=sum(record.seconds for record in records),
        searching=run.clock.total,
        spared_epochs=sum(_missing(record) for record in stopped),
        spared_seconds=sum(_missing(record) * record.seconds / len(record.epochs) for record in stopped),
    )


def _missing(record: TrialRecord) -> int:
    return record.config["epochs"] - max(record.epochs)


def sentences(spent: Spending) -> list[str]:
    """What was spent, and what was spared; nothing of a run without trials."""
    total = sum(spent.trials.values())
    if not total:
        return []
    fates = listed([f"{count:,} {FATES[status].words}" for status, count in spent.trials.items()])
    told = [
        f"{counted(total, 'trial')}: {fates}.",
        f"{counted(spent.epochs, 'epoch')} took {duration(spent.training)} of training, "
        f"{duration(spent.searching)} of searching.",
    ]
    if spent.spared_epochs:
        told.append(
            f"Stopping early spared up to {counted(spent.spared_epochs, 'epoch')}: about "
            f"{duration(spent.spared_seconds)} of training at the pace of those trials."
        )
    return told
