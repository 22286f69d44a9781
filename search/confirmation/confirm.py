"""`thaw confirm`: retrains a search's leading configurations by cross-validation, as a separate search."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from thaw.analysis.records import FINISHED, TrialRecord
from thaw.analysis.run import Run, load_run
from thaw.analysis.run_folder import RunFolder
from thaw.search.backends import DEFAULT, check_backend, check_resources, starting
from thaw.search.confirmation.out_of_fold import PredictionKeeper, gathered, read_out_of_fold, write_out_of_fold
from thaw.search.confirmation.plan import Plan, assign_folds, confirm_config, fold_notes, make_plan, outcome
from thaw.search.engine.events import EventLog
from thaw.search.engine.rules import Rule
from thaw.search.engine.state import SearchState
from thaw.search.observers.live import Names
from thaw.search.prepare.preflight import Prepared, prepare
from thaw.search.prepare.provenance import recorded_precision
from thaw.search.prepare.same_inputs import check_same_inputs
from thaw.search.prepare.stages import Stages, Step, say
from thaw.search.sessions.interruptible import interruptible
from thaw.search.sessions.lock import driving
from thaw.search.sessions.new_folder import new_folder
from thaw.search.sessions.resume import changed_config
from thaw.search.sessions.tuner import run_session, write_inputs
from thaw.spaces import ConfigError, TrialConfig
from thaw.spaces.files import check_writable
from thaw.spaces.words import counted
from thaw.trainables.evaluation.bootstrap import Estimate, bootstrap
from thaw.trainables.training.losses import probabilities

RESAMPLES = 400
"""Bootstrap resamples of the pooled value: 1.5 seconds per leader for 4,000 images and 18 labels, 10 for 30,000."""


class PlanProposer:
    """Proposes the planned trials in order.

    Args:
        plan: its tasks are the trials.
    """

    def __init__(self, plan: Plan) -> None:
        self.tasks, self.folds = plan.tasks(), plan.folds
        self.trials = len(self.tasks)

    def draft(self, number: int) -> dict[str, Any]:
        task = self.tasks[number]
        return {"config": task.config, "fold": asdict(task.fold), "folds": self.folds}

    def apply(self, event: dict[str, Any], record: TrialRecord | None) -> None:
        """Does nothing: values do not change the proposals."""


def run_confirm(
    path: str | Path,
    *,
    top: int = 5,
    folds: int = 5,
    seeds: int = 1,
    overrides: Sequence[str] = (),
    console: Console | None = None,
    backend: str = DEFAULT,
    began: float | None = None,
) -> tuple[dict[str, Any] | None, str]:
    """Confirm the leading configurations of a run in its folder ``confirm/``, or continue a confirmation there.

    Args:
        path: the run's folder.
        top: how many configurations.
        folds: at least 2.
        seeds: repetitions, each with its own folds and seeds; more can be added later.
        overrides: overrides of the run's search file, as for `thaw resume`: for instance where the images are now.
        console: where progress is printed; nowhere by default.
        backend: ``ray``, ``local`` or ``inline``.
        began: when the user began to wait, in Unix seconds; now by default.

    Returns:
        The content of ``confirm.json``, None if it was interrupted; and why it ended: ``done`` or a signal's name.

    Raises:
        ConfigError: the input is wrong, the run folder is read-only or full, or no configuration completed all folds.
        RunStopped: the event log could not be written.
    """
    began = began or time.time()
    check_backend(backend)
    console = console or Console(quiet=True)
    # Ray interprets a relative path as the address of a storage service.
    run = load_run(Path(path).resolve())
    check_writable(run.folder.path)
    plan = make_plan(run, top, folds, seeds)
    folder = run.folder.confirm
    with starting(backend) as begin, interruptible(console, folder.path, f"thaw confirm {run.folder.path}"):
        prepared = _prepared(run, plan, overrides, console, backend, begin)
        for note in fold_notes(prepared):
            say(console, note)
        with nullcontext() if folder.path.exists() else new_folder(folder), driving(folder):
            past = list(folder.events()) if folder.events_file.exists() else []
            _check_same(plan, past, folder)
            check_folds(folder, past, plan, prepared)
            write_inputs(folder, prepared)
            session = 1 + max((event["session"] for event in past), default=0)
            config = prepared.config
            log = EventLog(folder, session)
            state = SearchState(config.search.metric, log, PlanProposer(plan), Rule(), config.max_failures)
            state.replay(past)
            if sum(record.ended for record in state.records.values()) < len(plan.tasks()):
                run_session(
                    prepared,
                    folder,
                    state,
                    console,
                    backend=backend,
                    observers=[PredictionKeeper(folder)],
                    began=began,
                    past=past,
                    names=_names(plan),
                )
                *_, last = folder.events()
                if last["reason"] != "done":
                    return None, last["reason"]
            with Stages(console)("estimating the leaders' values") as step:
                pooled = _gather(run.folder, plan, prepared, step)
            found = outcome(plan, state.records, prepared, pooled)
            run.folder.write_text(run.folder.confirm_file, json.dumps(found, indent=2) + "\n")
            return found, "done"


def _prepared(
    run: Run, plan: Plan, overrides: Sequence[str], console: Console, backend: str, begin: Callable[[int], None]
) -> Prepared:
    """The run's data and conditions, with folds.

    Raises:
        ConfigError: images, labels or weights have changed since, or a fold has no label.
    """
    config = confirm_config(changed_config(run.folder, overrides), len(plan.tasks()))
    precision, suits = recorded_precision(run.folder.provenance()), partial(check_resources, backend)
    prepared = prepare(config, Stages(console), precision, suits=suits, meanwhile=begin)
    check_same_inputs(run.folder, prepared)
    return replace(prepared, context=replace(prepared.context, folds=assign_folds(prepared, plan)))


def _names(plan: Plan) -> Names:
    """The names of a confirmation's trials: each is one of the search's leaders on one fold."""
    tasks = plan.tasks()

    def cells(record: TrialRecord) -> tuple[str, ...]:
        fold = tasks[record.number].fold
        place = f"{fold.number + 1}/{plan.folds}"
        return str(tasks[record.number].leader), place if plan.seeds == 1 else f"{place} seed {fold.seed + 1}"

    def means(_: Sequence[TrialRecord], records: Iterable[TrialRecord], column: str) -> str:
        values: dict[int, list[float]] = {}
        for record in records:
            if record.status in FINISHED:
                # Its last epoch is its result.
                values.setdefault(tasks[record.number].leader, []).append(record.values(column)[max(record.epochs)])
        found = (f"{leader}: {np.mean(of_leader):.4f} ({len(of_leader)})" for leader, of_leader in values.items())
        return f"mean {column} by leader (folds)  {'  '.join(found)}" if values else ""

    return Names("trainings", ("leader", "fold"), cells, means, best_epochs=False)


def _check_same(plan: Plan, past: Sequence[dict[str, Any]], folder: RunFolder) -> None:
    """Check that the existing confirmation is the requested one; more seeds may be added.

    Raises:
        ConfigError: it confirms something else.
    """
    proposer = PlanProposer(plan)
    for event in past:
        if event["event"] != "trial_started":
            continue
        number = event["trial"]
        if number >= proposer.trials or not proposer.draft(number).items() <= event.items():
            started = [event for event in past if event["event"] == "trial_started"]
            leaders = len({TrialConfig(**event["config"]).canonical() for event in started})
            raise ConfigError(
                f"holds a confirmation of other leaders, folds or seeds (of {counted(leaders, 'trial')} over "
                f"{event.get('folds', 'other')} folds, as far as it got), got {counted(len(plan.leaders), 'trial')} "
                f"over {plan.folds} folds; repeat the original options, or remove the folder to start over",
                file=folder.path,
            )


def check_folds(folder: RunFolder, past: Sequence[dict[str, Any]], plan: Plan, prepared: Prepared) -> None:
    """Check that a continued confirmation uses the folds that it began with.

    Thaw 0.1.0 mixed the parts of a split that the user had given, and does not record its folds. The images of its
    predictions show them; if there are none yet, the confirmation cannot continue.

    Args:
        folder, past: the folder and earlier events of the confirmation.

    Raises:
        ConfigError: images are validated in different folds than before.
    """
    recorded = folder.provenance()["data"].get("folds") if folder.provenance_file.exists() else None
    assigned = prepared.context.folds
    if recorded is not None:
        now = [[fold.digest for fold in folds] for folds in assigned]
        same = all(before == after for before, after in zip(recorded, now, strict=False))  # seeds may be added
    else:
        began = any(event["event"] == "trial_started" for event in past)
        validated = [
            (set(read_out_of_fold(file).rows), set(assigned[task.fold.seed][task.fold.number].validation))
            for number, task in enumerate(plan.tasks())
            if (file := folder.fold_predictions(number)).is_file()
        ]
        unknown = began and not validated and bool(fold_notes(prepared))
        same = not unknown and all(before == after for before, after in validated)
    if not same:
        raise ConfigError(
            "began with different folds, because Thaw 0.1.0 assigned them by another rule or a column that determines "
            "them has changed; restore the column or Thaw 0.1.0 to continue, or remove the folder to start over",
            file=folder.path,
        )


def _gather(run: RunFolder, plan: Plan, prepared: Prepared, step: Step) -> dict[int, Estimate]:
    """Write a file of out-of-fold predictions for each leader that has predictions for every fold.

    Returns:
        Leader → the objective over all its predictions at once, with an interval.
    """
    name, labels = prepared.config.search.metric.removeprefix("val_"), prepared.dataset.labels
    pooled = {}
    for done, leader in enumerate(plan.leaders):
        step(done, len(plan.leaders))
        numbers = [number for number, task in enumerate(plan.tasks()) if task.leader == leader.trial]
        files = [run.confirm.fold_predictions(number) for number in numbers]
        if all(file.is_file() for file in files):
            predictions = gathered(read_out_of_fold(file) for file in files)
            write_out_of_fold(run.confirmed_predictions(leader.trial), predictions)
            if name == "loss":
                continue  # a mean over images: the same by fold and over all at once
            predicted = probabilities(torch.from_numpy(predictions.logits), leader.config["loss"]).numpy()
            rows, sets = predictions.rows, predicted >= prepared.config.threshold
            estimates = bootstrap(predicted, sets, labels[rows], resamples=RESAMPLES, names=(name,), images=rows)
            pooled[leader.trial] = estimates[name]
    return pooled
