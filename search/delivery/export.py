"""`thaw export`: a trial of a run as a bundle."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from thaw.analysis.records import TrialRecord
from thaw.analysis.run import Run
from thaw.analysis.run_folder import RunFolder
from thaw.analysis.words import listed
from thaw.search.confirmation.out_of_fold import read_out_of_fold
from thaw.search.delivery.assemble import assemble
from thaw.search.delivery.deliver import bundle_facts, check_room, write_bundle
from thaw.search.delivery.fit import fit
from thaw.search.delivery.outcome import print_outcome
from thaw.search.delivery.scoring import Score, score_test
from thaw.search.delivery.single import for_this_machine, only_trial, trial_file
from thaw.search.delivery.timm_folder import write_timm
from thaw.search.delivery.winner import DEFAULT_GOAL, LabelGoal, Winner, classifier_facts
from thaw.search.observers.trackers import send
from thaw.search.prepare.preflight import Prepared, prepare
from thaw.search.prepare.same_inputs import check_same_inputs
from thaw.search.prepare.stages import Stages
from thaw.search.sessions.resume import changed_config
from thaw.spaces import ConfigError, best_epoch, did_you_mean
from thaw.spaces.files import check_new_folder, check_writable
from thaw.spaces.words import counted
from thaw.trainables.bundles.onnx_export import require_onnx
from thaw.trainables.bundles.timm_export import require_timm
from thaw.trainables.training.checkpoint import BestCheckpoint, read_best

FORMATS = {"bundle": "for `thaw predict` and ONNX", "timm": "for the package timm and for Hugging Face"}
"""What a model is written as → what for."""

REPEATED = 1e-6
"""The tolerance within which metrics of a retrained epoch agree with the log."""


def export_run(
    run: Run,
    to: Path,
    console: Console,
    *,
    trial: int | None = None,
    format: str = "bundle",
    onnx: bool = False,
    refit: bool = False,
    goal: LabelGoal = DEFAULT_GOAL,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Export a trial as a bundle.

    Args:
        run: a run whose images have not changed.
        to: a folder that does not exist.
        console: where progress is printed.
        trial: its number; by default the one that a confirmation chose, or else the best one by the metric.
        format: of the folder, one of :data:`FORMATS`.
        onnx: add an ONNX file to a bundle.
        refit: export the configuration trained on training and validation images together, for as many epochs as
            the trial's best had.
        goal: of the label rule.
        overrides: of the run's search file, as `thaw resume` takes them: for instance where the images are now.

    Returns:
        The content of ``bundle.json``, whatever the format.

    Raises:
        ConfigError: the trial cannot be exported, or the run folder (which records each use of the test split) or the
            location of the bundle is not writable; nothing was written.
        TrainingFailed: the trial was retrained, and a loss was not finite.
    """
    check_format(format, onnx)
    check_new_folder(to)
    check_writable(run.folder.path)
    if onnx:
        require_onnx()
    confirmation = run.folder.confirmation()
    if trial is None and confirmation is not None:
        trial = confirmation["chosen"]
        console.print(f"`thaw confirm` chose trial {trial}", highlight=False)
    record = _chosen(run, trial)
    changed_config(run.folder, overrides)
    config = trial_file(run, record, overrides)
    prepared = prepare(for_this_machine(config), Stages(console))
    check_same_inputs(run.folder, prepared)
    check_room(to, prepared, onnx)
    if format == "timm":
        require_timm(classifier_facts(prepared, only_trial(prepared.config)))
    values = record.values(run.metric)
    epoch = best_epoch(values, run.metric)
    console.print(f"trial {record.number}: {run.metric} {values[epoch]:.4f} at epoch {epoch}", highlight=False)
    if trial is None and len(run.front) > 1:
        numbers = listed([str(other.number) for other in run.front[1:]])
        console.print(
            f"--trial N takes another one on the Pareto front of {listed([*run.objectives])}: {numbers}",
            highlight=False,
            soft_wrap=True,
        )
    best, source = _best(run, record, epoch, prepared, console)
    refitted = None
    if refit:
        console.print(
            f"training on training and validation images together, {counted(epoch, 'epoch')}", highlight=False
        )
        refitted = fit(prepared, console, epochs=epoch, with_validation=True)
    winner = Winner(
        prepared,
        best,
        goal,
        run=run.folder.path.name,
        metrics=record.epochs[epoch]["metrics"],
        source=source,
        trial=record.number,
        status=record.status,
        trials=len(run.records),
        refit=refitted,
        confirmation=confirmation,
        held_out=_held_out(run, record, prepared, console),
    )
    stages = Stages(console)
    with stages("choosing thresholds"):
        model = assemble(winner)
    with stages("scoring the test split"):
        score = score_test(winner, model)
    times = 0 if score is None else note_test_score(run.folder, winner, score, console)
    with stages("writing the model"):
        if format == "timm":
            facts = bundle_facts(winner, model, score, times)
            write_timm(to, facts, model.state)
        else:
            facts = write_bundle(to, winner, model, score, times_scored=times, onnx=onnx)
    print_outcome(to, facts, console)
    send(config.trackers, run.folder, "model", to, partial(console.print, highlight=False, soft_wrap=True))
    return facts


def check_format(format: str, onnx: bool) -> None:
    """Check whether the options of an export are compatible.

    Raises:
        ConfigError: there is no such format, or it cannot hold an ONNX file.
    """
    if format not in FORMATS:
        raise ConfigError(f"unknown format {format!r}{did_you_mean(format, FORMATS)}", "--format")
    if onnx and format != "bundle":
        raise ConfigError(f"goes with a bundle, not with --format {format}; export twice", "--onnx")


def _chosen(run: Run, number: int | None) -> TrialRecord:
    if number is None:
        if run.best is None:
            raise ConfigError(
                "no trial has finished yet; wait for one, or choose one with --trial", file=run.folder.path
            )
        return run.best
    record = run.records.get(number)
    if record is None or not record.epochs:
        known = ", ".join(str(other.number) for other in run.records.values() if other.epochs) or "none"
        raise ConfigError(f"must be a trial with a finished epoch ({known}), got {number}", "--trial", run.folder.path)
    return record


def _held_out(
    run: Run, record: TrialRecord, prepared: Prepared, console: Console
) -> tuple[np.ndarray, np.ndarray] | None:
    """Logits and targets of a confirmation's predictions for images that their network was not trained on."""
    file = run.folder.confirmed_predictions(record.number)
    if not file.is_file():
        if run.folder.confirm_file.is_file():
            console.print(f"trial {record.number} was not confirmed: its validation images are used instead")
        return None
    predictions = read_out_of_fold(file)
    return predictions.logits, prepared.dataset.labels[predictions.rows]


def _best(
    run: Run, record: TrialRecord, epoch: int, prepared: Prepared, console: Console
) -> tuple[BestCheckpoint, str]:
    """The trial at its best epoch, and whether it comes from its checkpoint or was retrained."""
    try:
        best = read_best(run.folder.best_file(record.number))
        if best.epoch == epoch and best.config.model_dump() == record.config:
            return best, "checkpoint"
        reason = f"{run.folder.best_file(record.number)}: is of epoch {best.epoch}"
    except ConfigError as error:
        reason = str(error)
    console.print(
        f"retraining it, {counted(epoch, 'epoch')}, because its checkpoint cannot be used: {reason}", soft_wrap=True
    )
    best = fit(prepared, console, epochs=epoch)
    logged = record.epochs[epoch]["metrics"]
    off = {name: abs(value - logged[name]) for name, value in best.metrics.items()}
    worst = max(off, key=lambda name: off[name])
    if off[worst] > REPEATED:
        console.print(
            f"note: its results differ from the log, most in {worst}: {best.metrics[worst]:.4f}, then "
            f"{logged[worst]:.4f}; other hardware, threads or versions round differently",
            highlight=False,
            soft_wrap=True,
        )
    else:
        console.print("its results match the log", highlight=False)
    return best, "trained_again"


def note_test_score(folder: RunFolder, winner: Winner, score: Score, console: Console) -> int:
    """Record in ``provenance.json`` that the test split was used; returns how many times, including this one.

    If this cannot be written, that is only a warning, as the model is finished.
    """
    content = folder.provenance()
    entry = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "trial": winner.trial,
        "refit": winner.refit is not None,
        "metrics": {name: estimate["value"] for name, estimate in score.to_dict()["metrics"].items()},
    }
    content["test_scored"] = [*content.get("test_scored", []), entry]
    try:
        folder.write_text(folder.provenance_file, json.dumps(content, indent=2) + "\n")
    except OSError as error:
        console.print(
            f"warning: {folder.provenance_file} cannot be written ({error.strerror}), so the next export will not know "
            "that the test split was used",
            highlight=False,
            soft_wrap=True,
        )
    return len(content["test_scored"])
