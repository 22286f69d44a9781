"""Whole searches with real Ray, real Optuna and real image files."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from tests.searches import HALVING, comparable_history, small_search
from thaw.analysis.run import Run, load_run
from thaw.search.prepare.resources import this_machine
from thaw.search.settings.config import load_config
from thaw.spaces import METRICS, best_epoch, measured


def test_a_grid_tries_every_cell_to_its_end(grid: Run) -> None:
    trials = pd.read_csv(grid.folder.trials_file)
    assert list(trials["trial"]) == [0, 1, 2, 3] and set(trials["status"]) == {"completed"}
    cells = {(row.learning_rate, row.dropout) for row in trials.itertuples()}
    assert cells == {(0.0001, 0.0), (0.0001, 0.4), (0.003, 0.0), (0.003, 0.4)}
    history = pd.read_csv(grid.folder.history_file)
    assert history[["trial", "epoch"]].to_numpy().tolist() == [[t, e] for t in range(4) for e in (1, 2)]
    for split in ("val", "train"):
        for name in measured(False, 3):
            row = METRICS[name]
            assert history[f"{split}_{name}"].between(row.low, row.high).all(), name
    assert not {"val_accuracy", "train_top5_accuracy"} & {*history, *trials}, "images have several labels"


def test_files_say_the_same_as_the_events(grid: Run) -> None:
    again = load_run(grid.folder.path)
    pd.testing.assert_frame_equal(
        pd.read_csv(grid.folder.trials_file),
        pd.read_csv(io.StringIO(again.trials.to_csv(index=False))),
        check_dtype=False,
    )
    best = again.best
    assert best is not None
    values = best.values("val_map")
    table = pd.read_csv(grid.folder.trials_file)
    assert table["val_map"].max() == values[best_epoch(values, "val_map")]
    events = list(grid.folder.events())
    assert [e["event"] for e in events[:1] + events[-1:]] == ["session_started", "session_ended"]
    assert events[-1]["reason"] == "done"
    assert all({"v", "time", "session", "event"} <= set(event) for event in events)


def test_the_resolved_file_and_provenance_are_complete(grid: Run) -> None:
    resolved = load_config(grid.folder.search_file)
    assert resolved.search.concurrency == min(this_machine().cpus, 4)
    assert resolved.resources.gpu == 0 and resolved.trials == 4
    provenance = grid.folder.provenance()
    images = provenance["data"]["images"]
    assert images["train"] == 84 and images["validation"] + images["test"] == 36 and 23 <= images["validation"] <= 25
    assert set(provenance["trivial"]) == {"nothing", "most_frequent_label", "label_frequencies"}
    for row in provenance["trivial"].values():
        assert set(row) == set(measured(False, 3)) and all(math.isfinite(value) for value in row.values())
    labels = provenance["data"]["labels"]
    assert {name: sum(part.values()) for name, part in labels["per_image"].items()} == images
    assert len(labels["cooccurrence"]) == len(provenance["data"]["classes"]) == 3
    assert provenance["packages"]["ray"] and provenance["hardware"]["cpus"]


def test_a_grid_gives_the_same_history_in_any_order(grid: Run, tmp_path: Path, squares: Path, cache: Path) -> None:
    """One runs two trials at a time, the other one at a time in reverse order."""
    reversed_lists = {"dropout": [0.4, 0.0], "learning_rate": [0.003, 0.0001]}
    search = {"algorithm": "grid", "concurrency": 1}
    other = small_search(tmp_path, squares, cache, space=reversed_lists, search=search)
    assert other.records[0].config != grid.records[0].config
    pd.testing.assert_frame_equal(comparable_history(other), comparable_history(grid), check_exact=True)


def test_one_trial_at_a_time_gives_the_same_search_twice(
    halving: Run, tmp_path: Path, squares: Path, cache: Path
) -> None:
    again = small_search(tmp_path, squares, cache, **HALVING)
    columns = [name for name in again.trials.columns if not str(name).startswith("seconds")]
    pd.testing.assert_frame_equal(again.trials[columns], halving.trials[columns], check_exact=True)
    pd.testing.assert_frame_equal(comparable_history(again), comparable_history(halving), check_exact=True)


def test_asha_stops_trials_at_rungs_and_says_why(halving: Run) -> None:
    trials = halving.trials.set_index("trial")
    pruned = trials[trials["status"] == "pruned"]
    assert 0 < len(pruned) < 12
    assert set(pruned["last_epoch"]) <= {1, 2}
    for event in halving.folder.events():
        if event["event"] == "trial_ended" and event["status"] == "pruned":
            assert "at the rung of epoch" in event["reason"]


def test_the_study_agrees_with_the_log(halving: Run) -> None:
    study = optuna.load_study(
        study_name="squares", storage=JournalStorage(JournalFileBackend(str(halving.folder.study_file)))
    )
    statuses = halving.trials.set_index("trial")["status"]
    assert len(study.trials) == 12
    assert not [trial for trial in study.trials if trial.state == TrialState.RUNNING]
    pruned = [trial for trial in study.trials if trial.state == TrialState.PRUNED]
    assert len(pruned) == (statuses == "pruned").sum()
    for trial in study.trials:
        record = halving.records[trial.user_attrs["trial"]]
        assert trial.intermediate_values == record.values("val_map")
        assert trial.params.items() <= record.config.items()
        values = record.values("val_map")
        expected = values[max(values)] if trial.state == TrialState.PRUNED else max(values.values())
        assert trial.value == expected
        assert ("momentum" in trial.params) == (trial.params["optimizer"] == "sgd")


def test_gaussian_processes_fill_in_around_start_with(halving: Run, tmp_path: Path, squares: Path, cache: Path) -> None:
    assert halving.records[0].config["learning_rate"] == 0.003, "so does TPE"
    run = small_search(
        tmp_path,
        squares,
        cache,
        space={"learning_rate": {"log": [1e-4, 1e-2]}, "dropout": {"float": [0.0, 0.5]}},
        training={"epochs": 1},
        search={"algorithm": "gp", "trials": 12, "start_with": [{"learning_rate": 0.001}, {"dropout": 0.25}]},
        scheduler={"type": "median"},
    )
    assert set(run.trials["status"]) == {"completed"}
    assert run.records[0].config["learning_rate"] == 0.001 and run.records[1].config["dropout"] == 0.25
    assert len({record.config["learning_rate"] for record in run.records.values()}) == 12


def test_a_loss_that_explodes_fails_its_trial_and_patience_ends_another(
    tmp_path: Path, squares: Path, cache: Path
) -> None:
    run = small_search(
        tmp_path,
        squares,
        cache,
        space={"learning_rate": [10.0, 0.001]},
        training={"optimizer": "sgd", "momentum": 0.99, "weight_decay": 1.0, "epochs": 60, "patience": 1},
    )
    trials = run.trials.set_index("trial")
    assert list(trials["status"]) == ["failed", "early_stopped"]
    assert "became" in trials.loc[0, "error"] and "in epoch" in trials.loc[0, "error"]
    losses = run.records[1].values("val_loss")
    assert np.argmin(list(losses.values())) + 1 == max(losses) - 1
    study = optuna.load_study(
        study_name="squares", storage=JournalStorage(JournalFileBackend(str(run.folder.study_file)))
    )
    assert sorted(trial.state.name for trial in study.trials) == ["COMPLETE", "FAIL"]


def test_the_names_in_a_run_folder(grid: Run) -> None:
    names = {path.name for path in grid.folder.path.iterdir()} - {"again.csv"}
    assert names == {
        "search.yaml", "provenance.json", "events.jsonl", "trials.csv", "history.csv",
        "rejected.csv", "study.log", "tensorboard", "checkpoints", ".lock",
    }  # fmt: skip
    assert sorted(p.name for p in grid.folder.tensorboard.iterdir()) == [f"trial-{n:04d}" for n in range(4)]
    assert json.loads(grid.folder.events_file.read_text().splitlines()[0])["session"] == 1
