"""The plan of a confirmation and its result: the search's leaders, each trained on every fold.

The best of many validation values is partly luck. So the leaders are retrained over folds of training and validation
images together, never including the test images. The number of epochs is fixed beforehand, at the best epoch that the
search found for each: with patience, or the best of several epochs, the images of a fold would select the very value
that they are meant to measure. Configurations and numbers of epochs were still chosen with some of these images, so a
confirmed value may be slightly too good; only the locked test split is unbiased.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from thaw.analysis.records import FINISHED, TrialRecord, ranking
from thaw.analysis.run import Run
from thaw.search.confirmation.cross_validation import Leader, confirmation
from thaw.search.prepare.preflight import Prepared
from thaw.search.settings.config import SearchConfig
from thaw.spaces import ConfigError, TrialConfig, best_epoch, metric
from thaw.trainables.data.splits import Split, keeps_apart, split_folds
from thaw.trainables.evaluation.bootstrap import Estimate
from thaw.trainables.evaluation.trivial import trivial_metrics
from thaw.trainables.messages import Fold


@dataclass(frozen=True)
class Task:
    """One trial of a confirmation.

    Args:
        leader: number of the search's trial that is confirmed.
        config: its hyperparameters.
        fold: which fold, with which seed, and for how many epochs.
    """

    leader: int
    config: dict[str, Any]
    fold: Fold


@dataclass(frozen=True)
class Plan:
    """What is confirmed: the number of folds and of seeds, and the leaders in the search's order."""

    folds: int
    seeds: int
    leaders: tuple[Leader, ...]

    def tasks(self) -> list[Task]:
        """All tasks, fold by fold, so that an interrupted confirmation has compared all leaders on the same folds."""
        return [
            Task(leader.trial, leader.config, Fold(seed, number, leader.epochs))
            for seed in range(self.seeds)
            for number in range(self.folds)
            for leader in self.leaders
        ]


def make_plan(run: Run, top: int, folds: int, seeds: int) -> Plan:
    """The `top` best trials of a run; equal configurations count once.

    Raises:
        ConfigError: no trial has finished.
    """
    leaders: dict[str, Leader] = {}
    for record in ranking(run.records.values(), run.metric):
        values = record.values(run.metric)
        epoch = best_epoch(values, run.metric)
        key = TrialConfig(**record.config).canonical()
        leaders.setdefault(key, Leader(record.number, record.config, epoch, values[epoch], []))
    if not leaders:
        raise ConfigError("no trial has finished yet, so there is nothing to confirm", file=run.folder.path)
    return Plan(folds, seeds, tuple(leaders.values())[:top])


def confirm_config(config: SearchConfig, trials: int) -> SearchConfig:
    """The search file of the confirmation: the run's data and conditions, without its search."""
    search = {
        "algorithm": "random",
        "trials": trials,
        "time_budget": None,
        "concurrency": None,
        "start_with": (),
        "learn_from": (),
        "objectives": (),
    }
    return config.model_copy(
        update={
            "search": config.search.model_copy(update=search),
            "scheduler": config.scheduler.model_copy(update={"type": "none"}),
            # Predictions are taken from each checkpoint before it is removed.
            "checkpoints": config.checkpoints.model_copy(update={"keep": 0}),
        }
    )


def assign_folds(prepared: Prepared, plan: Plan) -> tuple[tuple[Split, ...], ...]:
    """The folds, seed by seed, over the training and validation images of the run's split.

    Raises:
        ConfigError: there are too few images or groups, or a fold would train or validate on images without any label.
    """
    chosen = prepared.config.data.split
    assigned = tuple(
        tuple(
            split_folds(
                prepared.dataset,
                prepared.context.split,
                folds=plan.folds,
                seed=seed,
                column=chosen.column,
                group=chosen.group,
                alike=prepared.alike,
            )
        )
        for seed in range(plan.seeds)
    )
    for seed, folds in enumerate(assigned):
        for number, fold in enumerate(folds):
            for name, part in (("training", fold.train), ("validation", fold.validation)):
                if not prepared.dataset.labels[part].any():
                    raise ConfigError(
                        f"fold {number} (from 0, seed {seed}) would measure nothing, as none of its {len(part)} {name} "
                        "images has a label; use fewer folds, or label them",
                        "--folds",
                    )
    return assigned


def fold_notes(prepared: Prepared) -> list[str]:
    """A note for the user if the folds do not mix the parts of the user's own split."""
    split = prepared.config.data.split
    if split.group is not None or not keeps_apart(prepared.dataset, split.column):
        return []
    return [
        "Your split keeps training and validation images apart, so folds do not mix them: each trains on a share of "
        "the first and validates on a share of the second. Use data.split.group to say which images belong together."
    ]


def trivial_values(prepared: Prepared, folds: Sequence[Sequence[Split]], column: str) -> dict[str, float]:
    """Trivial predictor → its mean value of `column` over the same folds."""
    labels, context = prepared.dataset.labels, prepared.context
    tables = [
        trivial_metrics(labels[fold.train], labels[fold.validation], context.threshold, context.single_label)
        for seed in folds
        for fold in seed
    ]
    name = column.removeprefix("val_")
    return {predictor: float(np.nanmean([table[predictor][name] for table in tables])) for predictor in tables[0]}


def outcome(
    plan: Plan, records: Mapping[int, TrialRecord], prepared: Prepared, pooled: Mapping[int, Estimate]
) -> dict[str, Any]:
    """The content of ``confirm.json``; see ``docs/architecture.md``.

    Args:
        pooled: leader → its value over all out-of-fold predictions at once, if available.

    A leader that failed on a fold cannot be compared and is left out.

    Raises:
        ConfigError: no leader completed all folds.
    """
    column = prepared.config.search.metric
    finished: list[Leader] = []
    for leader in plan.leaders:
        own = [records[number] for number, task in enumerate(plan.tasks()) if task.leader == leader.trial]
        if all(record.status in FINISHED for record in own):
            values = [record.epochs[leader.epochs]["metrics"][column] for record in own]
            finished.append(replace(leader, values=values, pooled=pooled.get(leader.trial)))
    if not finished:
        raise ConfigError("no configuration completed all folds; `trials.csv` in confirm/ says why")
    split = prepared.context.split
    return {
        "metric": column,
        "folds": plan.folds,
        "seeds": plan.seeds,
        "images": len(split.train) + len(split.validation),
        "search_images": len(split.train),
        **confirmation(finished, metric(column), plan.folds),
        "trivial": trivial_values(prepared, prepared.context.folds, column),
    }
