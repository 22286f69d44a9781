"""A search's leaders confirmed by cross-validation, with real Ray."""

from __future__ import annotations

import json
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.searches import small_config, small_search, trained
from thaw.analysis.run import Run
from thaw.search.confirmation.confirm import run_confirm
from thaw.search.confirmation.out_of_fold import read_out_of_fold
from thaw.search.confirmation.plan import assign_folds, make_plan
from thaw.search.confirmation.table import print_confirmation
from thaw.search.engine.interruption import SearchStopped, StopRequest
from thaw.search.prepare.preflight import prepare
from thaw.spaces import ConfigError, TrialConfig
from thaw.trainables.evaluation.metrics import epoch_metrics
from thaw.trainables.messages import Fold

Confirmed = tuple[Run, dict[str, Any]]
SPACE = {"learning_rate": [0.0003, 0.003], "dropout": [0.0, 0.4]}


@pytest.fixture(scope="module")
def confirmed(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path) -> Confirmed:
    """A grid of four cells, two of its leaders over three folds: stopped after four epochs, then gone on with."""
    run = small_search(tmp_path_factory.mktemp("search"), squares, cache, space=SPACE, training={"epochs": 3})

    def check(request: StopRequest) -> None:
        if sum(event["event"] == "epoch" for event in run.folder.confirm.events()) >= 4:
            request.reason = "SIGTERM"
            raise SearchStopped("SIGTERM")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(StopRequest, "check", check)
        assert run_confirm(run.folder.path, top=2, folds=3, backend="inline") == (None, "SIGTERM")
    assert not run.folder.confirm_file.exists()
    with pytest.MonkeyPatch.context() as patch:
        # As a user names it, from the folder above.
        patch.chdir(run.folder.path.parent)
        found, reason = run_confirm(run.folder.path.name, top=2, folds=3, backend="inline")
    assert found is not None and reason == "done"
    return run, found


def test_the_result_is_in_the_run_folder(confirmed: Confirmed) -> None:
    run, found = confirmed
    assert json.loads(run.folder.confirm_file.read_text()) == found
    assert (found["metric"], found["folds"], found["seeds"]) == ("val_map", 3, 1)
    images = run.folder.provenance()["data"]["images"]
    assert found["images"] == images["train"] + images["validation"]
    best = run.best
    assert best is not None and best.number in {leader["trial"] for leader in found["leaders"]}
    means = [leader["mean"] for leader in found["leaders"]]
    assert means == sorted(means, reverse=True) and found["chosen"] == found["leaders"][0]["trial"]
    assert set(found["trivial"]) == {"nothing", "most_frequent_label", "label_frequencies"}
    assert all(0 < value < 1 for value in found["trivial"].values())


def test_every_trial_keeps_its_fold_and_length_after_interruptions(confirmed: Confirmed) -> None:
    run, found = confirmed
    confirmation = Run(run.folder.confirm)
    events = list(run.folder.confirm.events())
    assert sum(event["event"] == "session_started" for event in events) == 2
    started = [event for event in events if event["event"] == "trial_started"]
    assert sorted(event["fold"]["number"] for event in started) == [0, 0, 1, 1, 2, 2]
    for record in confirmation.records.values():
        assert record.fold is not None
        assert record.status == "completed" and sorted(record.epochs) == list(range(1, record.fold["epochs"] + 1))
    for leader in found["leaders"]:
        own = [record for record in confirmation.records.values() if record.config == leader["config"]]
        assert leader["values"] == [record.epochs[leader["epochs"]]["metrics"]["val_map"] for record in own]


def test_predictions_are_of_images_that_were_left_out(
    confirmed: Confirmed, tmp_path: Path, squares: Path, cache: Path
) -> None:
    run, found = confirmed
    split = prepare(small_config(tmp_path, squares, cache)).context.split
    pool = np.sort(np.concatenate([split.train, split.validation]))
    for leader in found["leaders"]:
        predictions = read_out_of_fold(run.folder.confirmed_predictions(leader["trial"]))
        np.testing.assert_array_equal(np.sort(predictions.rows), pool)
        assert predictions.logits.shape == (len(pool), 3)
    assert not list(run.folder.confirm.checkpoints.rglob("*.safetensors")), "weights need not stay"


def test_a_fold_equals_the_plain_loop(confirmed: Confirmed, tmp_path: Path, squares: Path, cache: Path) -> None:
    run, found = confirmed
    prepared = prepare(small_config(tmp_path, squares, cache))
    plan = make_plan(run, 2, 3, 1)
    leader = plan.leaders[0]
    context = replace(prepared.context, folds=assign_folds(prepared, plan)).on(Fold(0, 2, leader.epochs))
    torch.set_num_threads(1)
    *_, last = trained(TrialConfig(**leader.config), context)
    value = next(row["values"][2] for row in found["leaders"] if row["trial"] == leader.trial)
    assert last.epoch == leader.epochs and last.metrics["val_map"] == value  # type: ignore[union-attr]
    predictions = read_out_of_fold(run.folder.confirmed_predictions(leader.trial))
    rows = context.split.validation
    np.testing.assert_array_equal(predictions.rows[-len(rows) :], rows)
    logits, targets = torch.from_numpy(predictions.logits[-len(rows) :]), torch.from_numpy(context.labels[rows])
    assert epoch_metrics(logits.sigmoid(), targets)["map"] == pytest.approx(value, abs=1e-6)
    row = next(row for row in found["leaders"] if row["trial"] == leader.trial)
    logits, targets = torch.from_numpy(predictions.logits), torch.from_numpy(context.labels[predictions.rows])
    pooled = row["pooled"]
    assert pooled["value"] == pytest.approx(epoch_metrics(logits.sigmoid(), targets)["map"], abs=1e-6)
    assert 0 <= pooled["low"] < pooled["value"] < pooled["high"] <= 1
    assert all(0 <= bound <= 1 for leader in found["leaders"] for bound in leader["interval"])


def test_one_fold_is_not_enough_and_another_seed_draws_again(
    confirmed: Confirmed, tmp_path: Path, squares: Path, cache: Path
) -> None:
    run, _ = confirmed
    prepared = prepare(small_config(tmp_path, squares, cache))
    context = replace(prepared.context, folds=assign_folds(prepared, make_plan(run, 1, 3, 2)))
    first, second = context.on(Fold(0, 0, 1)), context.on(Fold(1, 0, 1))
    assert context.on(None) is context and first.training_seed == context.seed != second.training_seed
    assert not np.array_equal(first.split.validation, second.split.validation)
    assert first.seed == second.seed, "views and their stored activations stay"


def test_the_table_is_complete(confirmed: Confirmed) -> None:
    run, found = confirmed
    out = StringIO()
    assert print_confirmation(run.folder.path, found, "done", Console(file=out, width=160)) == 0
    text = out.getvalue()
    assert f"val_map ↑ over 3 folds of {found['images']} images" in text
    assert f"Chosen: trial {found['chosen']}" in text and f"{found['shrinkage']:+.3f}" in text
    assert "label frequencies" in text and "thaw export" in text
    for leader in found["leaders"]:
        assert f"{leader['mean']:.3f}" in text
    assert print_confirmation(run.folder.path, None, "SIGINT", Console(file=out)) == 130


def test_more_seeds_may_follow_and_nothing_else(confirmed: Confirmed) -> None:
    run, found = confirmed
    again, _ = run_confirm(run.folder.path, top=2, folds=3, backend="inline")
    assert again == found, "asked again, it answers again"
    with pytest.raises(ConfigError, match=r"leaders, folds or seeds \(of 2 trials over 3 folds.*got 1 trial over 3"):
        run_confirm(run.folder.path, top=1, folds=3, backend="inline")
    with pytest.raises(ConfigError, match=r"leaders, folds or seeds \(of 2 trials over 3 folds.*got 2 trials over 4"):
        run_confirm(run.folder.path, top=2, folds=4, backend="inline")
    with pytest.raises(ConfigError, match="threshold: is part of what the run's results mean"):
        run_confirm(run.folder.path, top=2, folds=3, overrides=["threshold=0.3"], backend="inline")
    more, _ = run_confirm(run.folder.path, top=2, folds=3, seeds=2, backend="inline")
    assert more is not None
    before = {leader["trial"]: leader["values"] for leader in found["leaders"]}
    for leader in more["leaders"]:
        assert len(leader["values"]) == 6 and leader["values"][:3] == before[leader["trial"]]
    predictions = read_out_of_fold(run.folder.confirmed_predictions(more["chosen"]))
    assert (np.unique(predictions.rows, return_counts=True)[1] == 2).all(), "each image once a seed"


def test_a_run_without_a_finished_trial_cannot_be_confirmed(tmp_path: Path, squares: Path, cache: Path) -> None:
    training = {"optimizer": "sgd", "momentum": 0.99, "weight_decay": 1.0, "epochs": 20, "patience": 0}
    run = small_search(tmp_path, squares, cache, space={"learning_rate": [10.0]}, training=training)
    with pytest.raises(ConfigError, match="no trial has finished yet"):
        run_confirm(run.folder.path, backend="inline")
