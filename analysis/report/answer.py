"""The first screen: the results of a run in sentences with figures, and their caveats."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from thaw.analysis.earlier import earlier_words
from thaw.analysis.importance import MIN_LATER, MIN_TRIALS, importance
from thaw.analysis.objectives import outcome
from thaw.analysis.plots import NotEnough, slices
from thaw.analysis.records import TrialRecord
from thaw.analysis.report.beside import Beside, beside
from thaw.analysis.report.spending import sentences, spending
from thaw.analysis.run_data import RunData
from thaw.analysis.words import in_full, listed, number, value
from thaw.spaces import best_epoch
from thaw.spaces.words import counted

UNFINISHED = ("running", "waiting")

NAMED = 5
"""The number of trials on the Pareto front that are named."""

WORTH_NAMING = 0.1
"""The minimum importance for the second hyperparameter to be named."""


@dataclass(frozen=True)
class Answer:
    """The results in plain sentences.

    Args:
        headline: the outcome.
        facts: supporting facts: comparisons, what mattered, cost.
        caveats: why the result may be weaker than it looks.
        configuration: the best trial's searched hyperparameters; empty if no trial finished.
        fixed: its other hyperparameters.
        beside: the best trial's metrics next to those of others.
    """

    headline: str
    facts: list[str]
    caveats: list[str]
    configuration: dict[str, str]
    fixed: dict[str, str]
    beside: Beside | None


def answer(run: RunData) -> Answer:
    spent = sentences(spending(run))
    best = run.best
    if best is None:
        return Answer(_no_headline(run), spent, _unfinished(run) + _failures(run), {}, {}, None)
    table = beside(run)
    assert table is not None
    searched = {name: value(best.config[name]) for name in run.space.parameters if run.space.active(name, best.config)}
    fixed = {name: value(item) for name, item in best.config.items() if name not in searched}
    facts = [*_front(run), *_accuracy(table), *_comparison(run, table), *_mattered(run), *_earlier(run), *spent]
    caveats = [*_optimism(run), *_not_beaten(table), *_edges(run), *_unfinished(run), *_failures(run)]
    return Answer(_headline(run, best, searched), facts, caveats, searched, fixed, table)


def _headline(run: RunData, best: TrialRecord, searched: dict[str, str]) -> str:
    values = best.values(run.metric)
    epoch = best_epoch(values, run.metric)
    words = listed([f"{name} {text}" for name, text in searched.items()]) if searched else "the only configuration"
    return (
        f"The best configuration is trial {best.number}, with {words}: {run.metric} {number(values[epoch])} after "
        f"epoch {epoch} of at most {best.config['epochs']}.{_stopped(run, best)}"
    )


def _stopped(run: RunData, best: TrialRecord) -> str:
    """How many trials were pruned, as their values are not final; begins with a space. Empty if none was pruned."""
    pruned = [record for record in run.records.values() if record.status == "pruned" and record.epochs]
    if not pruned:
        return ""
    last = max(max(record.epochs) for record in pruned)
    were, they = ("was", "it") if len(pruned) == 1 else ("were", "they")
    including = ", including this one" if best.status == "pruned" else ""
    return (
        f" {len(pruned):,} of {counted(len(run.records), 'trial')} {were} pruned by epoch {last}{including}: what "
        f"{they} would have reached is unknown."
    )


def _no_headline(run: RunData) -> str:
    if not run.records:
        return "No trial has been started yet."
    if all(record.status == "failed" for record in run.records.values()):
        return f"No trial finished: {counted(len(run.records), 'trial')} failed."
    return "No trial has finished yet."


def _accuracy(table: Beside) -> list[str]:
    """For data with one label per image, in the usual terms."""
    if "accuracy" not in table.table.index:
        return []
    right, by_label = (table.value(name, table.best) for name in ("accuracy", "balanced_accuracy"))
    return [
        f"Its most probable label is correct for {right:.1%} of the validation images (accuracy), and for "
        f"{by_label:.1%} of a label's images, averaged over the labels (balanced accuracy)."
    ]


def _comparison(run: RunData, table: Beside) -> list[str]:
    name = run.metric.removeprefix("val_")
    sentences = []
    if rival := table.best_trivial(name):
        sentences.append(
            f"The best predictor that never looks at an image ({rival[0]}) has {run.metric} {number(rival[1])}."
        )
    if table.first != table.best:
        sentences.append(
            f"The first configuration tried, {table.first}, reached {number(table.value(name, table.first))}."
        )
    return sentences


def _mattered(run: RunData) -> list[str]:
    shares = importance(run)
    if shares.empty:
        few = f"fewer than {MIN_TRIALS} comparable trials"
        later = f"fewer than {MIN_LATER} that went on after the first were stopped"
        return [
            f"The importance of hyperparameters cannot be estimated from {few}, {later}, or from trials this similar."
        ]
    several = run.trials["architecture"].nunique() > 1
    sentences = []
    for architecture, rows in shares.groupby("architecture", sort=False):
        first, *others = rows.to_dict("records")
        where = f"within {architecture}" if architecture != "all" else "over all architectures" if several else ""
        words = [
            f"{row['hyperparameter']} ({row['importance']:.0%}, {row['low']:.0%} to {row['high']:.0%})"
            for row in (first, *others[:1])
        ]
        if others and others[0]["importance"] < WORTH_NAMING:
            words = words[:1]
        start = f"{where[:1].upper()}{where[1:]}, {listed(words)}" if where else listed(words)
        matter = "matter" if len(words) > 1 else "matters"
        sentences.append(
            f"{start} {matter} most at the last epoch, according to a model of all epochs of "
            f"{counted(first['trials'], 'trial')}."
        )
    return sentences


def _front(run: RunData) -> list[str]:
    """With several objectives: their Pareto front."""
    if len(run.objectives) < 2:
        return []
    points = [
        f"trial {record.number} ({', '.join(map(in_full, outcome(record, run.objectives)))})"
        for record in run.front[:NAMED]
    ]
    more = len(run.front) - len(points)
    names = listed([*points, f"{more:,} more"] if more else points)
    return [f"Best means {run.metric}. The Pareto front of {listed([*run.objectives])}: {names}."]


def _earlier(run: RunData) -> list[str]:
    """The trials of other runs that the search learnt from."""
    if not run.earlier:
        return []
    known = listed([earlier_words(other) for other in run.earlier])
    return [f"The search learnt from earlier runs on the same data: {known}. Their trials are not counted here."]


def _optimism(run: RunData) -> list[str]:
    tried = sum(1 for record in run.records.values() if record.epochs)
    earlier = sum(other["known"] for other in run.earlier)
    if tried + earlier < 2:
        return []
    ours = f"{counted(tried, 'value')}" + (f", after {earlier:,} of earlier runs," if earlier else "")
    return [
        f"The best of {ours} on the same validation images is partly luck: expect slightly worse results on new images."
    ]


def _not_beaten(table: Beside) -> list[str]:
    rivals = []
    for name in table.not_beaten:
        rival = table.best_trivial(name)
        assert rival is not None
        own = number(table.value(name, table.best))
        rivals.append(f"{name} ({own} against {number(rival[1])} for {rival[0]})")
    if not rivals:
        return []
    return [f"A predictor that never looks at an image does as well or better on {listed(rivals)}."]


def _edges(run: RunData) -> list[str]:
    try:
        edges = slices.compute(run).at_the_edge
    except NotEnough:
        return []
    if not edges:
        return []
    words = listed([f"{name} ({end} end)" for name, end in edges.items()])
    return [f"The best trial lies at the boundary of the space in {words}: a wider space may contain better ones."]


def _unfinished(run: RunData) -> list[str]:
    counts = Counter(record.status for record in run.records.values())
    sentences = []
    if going := sum(counts[status] for status in UNFINISHED):
        sentences.append(f"The run has not ended: {counted(going, 'trial')} still running, or left behind by a crash.")
    if counts["interrupted"]:
        sentences.append(f"{counted(counts['interrupted'], 'trial')} did not finish and cannot be the best.")
    return sentences


def _failures(run: RunData) -> list[str]:
    reasons: Counter[Any] = Counter(r.error for r in run.records.values() if r.status == "failed")
    if not reasons:
        return []
    reason, count = reasons.most_common(1)[0]
    return [
        f"{counted(reasons.total(), 'trial')} of {len(run.records):,} failed; "
        f"the reason for {'all' if count == reasons.total() else f'{count:,}'}: {reason}."
    ]
