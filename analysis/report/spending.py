"""The cost of a run, and what early stopping saved."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from thaw.analysis.cost import Prefix, own_seconds, shared_seconds
from thaw.analysis.equal_epochs import NAMED
from thaw.analysis.plots.fates import FATES
from thaw.analysis.records import TrialRecord
from thaw.analysis.run_data import RunData
from thaw.analysis.words import duration, listed
from thaw.spaces.words import counted

STOPPED = ("pruned", "early_stopped")

WORTH_NAMING = 0.5
"""The minimum seconds of computing activations for them to be mentioned."""


@dataclass(frozen=True)
class Spending:
    """Trials by status (in the order of legends), epochs, seconds.

    Args:
        trials: status → number of trials.
        epochs: number of epochs trained and validated.
        training: seconds of training and validation of all trials together, whether or not they ran at the same time.
        activations: network and freeze depth → seconds spent once, for all trials, on the frozen stages' activations.
        searching: duration of the search in seconds.
        saved_epochs, saved_seconds: what the stopped trials would have needed to reach their last possible epoch, each
            at its own pace.
    """

    trials: dict[str, int]
    epochs: int
    training: float
    activations: dict[Prefix, float]
    searching: float
    saved_epochs: int
    saved_seconds: float


def spending(run: RunData) -> Spending:
    records = run.records.values()
    counts = Counter(record.status for record in records)
    stopped = [record for record in records if record.status in STOPPED and record.epochs]
    return Spending(
        trials={status: counts[status] for status in FATES if counts[status]},
        epochs=sum(len(record.epochs) for record in records),
        training=sum(_seconds(record) for record in records),
        activations={place: sum(epochs.values()) for place, epochs in shared_seconds(records).items()},
        searching=run.clock.total,
        saved_epochs=sum(_missing(record) for record in stopped),
        saved_seconds=sum(_missing(record) * _seconds(record) / len(record.epochs) for record in stopped),
    )


def _seconds(record: TrialRecord) -> float:
    return sum(own_seconds(record, epoch) for epoch in record.epochs)


def _missing(record: TrialRecord) -> int:
    return record.config["epochs"] - max(record.epochs)


def sentences(spent: Spending) -> list[str]:
    """The cost and the savings; empty for a run without trials."""
    total = sum(spent.trials.values())
    if not total:
        return []
    fates = listed([f"{count:,} {FATES[status].words}" for status, count in spent.trials.items()])
    sentences = [
        f"{counted(total, 'trial')}: {fates}.",
        f"{counted(spent.epochs, 'epoch')} took {duration(spent.training)} of training and validation; the search took "
        f"{duration(spent.searching)}.",
    ]
    sentences += _activations(spent.activations)
    if spent.saved_epochs:
        sentences.append(
            f"Early stopping saved up to {counted(spent.saved_epochs, 'epoch')}: about "
            f"{duration(spent.saved_seconds)} of training at the pace of those trials."
        )
    return sentences


def _activations(seconds: dict[Prefix, float]) -> list[str]:
    """The cost of activations computed once for all trials; empty if negligible."""
    total = sum(seconds.values())
    if total < WORTH_NAMING:
        return []
    largest = sorted(seconds.items(), key=lambda item: -item[1])[:NAMED]
    parts = [
        f"{name} at freeze depth {depth} {duration(part)}" for (name, depth), part in largest if part >= WORTH_NAMING
    ]
    return [
        f"Activations of frozen stages, computed once for all trials: {duration(total)}"
        f"{f' ({listed(parts)})' if len(seconds) > 1 and parts else ''}."
    ]
