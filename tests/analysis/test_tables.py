"""Tables from events, worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from thaw.analysis.records import best_record, trial_records
from thaw.analysis.run import load_run
from thaw.analysis.run_folder import RunFolder
from thaw.analysis.tables import history_table, trials_table
from thaw.spaces import ConfigError, TrialConfig

AT = {"v": 1, "time": 1.0, "session": 1}


def started(trial: int, **config: Any) -> dict[str, Any]:
    return {**AT, "event": "trial_started", "trial": trial, "config": TrialConfig(**config).model_dump()}


def epoch(trial: int, number: int, value: float) -> dict[str, Any]:
    return {
        **AT,
        "event": "epoch",
        "trial": trial,
        "epoch": number,
        "metrics": {"val_map": value, "val_loss": 1 - value},
        "learning_rate": 0.1,
        "gradient_norm": 1.0,
        "seconds": {"train": 2.0, "validate": 0.5},
        "parameters": 10,
    }


def ended(trial: int, status: str, reason: str = "") -> dict[str, Any]:
    return {**AT, "event": "trial_ended", "trial": trial, "status": status, "reason": reason}


EVENTS = [
    {**AT, "event": "session_started", "overrides": []},
    started(0, dropout=0.1),
    epoch(0, 1, 0.3),
    started(1, dropout=0.2),
    epoch(0, 2, 0.6),
    epoch(0, 3, 0.5),
    ended(0, "completed", "max_epochs"),
    ended(1, "failed", "the training loss became nan in epoch 1"),
    started(2),
    epoch(2, 1, 0.7),
    {**AT, "event": "session_ended", "reason": "SIGINT", "seconds": 9.0},
]


def test_trials_table_holds_the_best_epoch_and_the_end() -> None:
    table = trials_table(trial_records(EVENTS).values(), "val_map").set_index("trial")
    assert list(table["status"]) == ["completed", "failed", "interrupted"]
    assert table.loc[0, ["best_epoch", "last_epoch", "val_map", "seconds", "dropout"]].to_list() == [
        2,
        3,
        0.6,
        7.5,
        0.1,
    ]
    assert pd.isna(table.loc[1, "best_epoch"]) and table.loc[1, "error"] == "the training loss became nan in epoch 1"


def test_history_has_one_row_per_epoch_even_if_one_was_logged_twice() -> None:
    table = history_table(trial_records([*EVENTS, epoch(0, 2, 0.65)]).values())
    assert table[["trial", "epoch"]].to_numpy().tolist() == [[0, 1], [0, 2], [0, 3], [2, 1]]
    assert table.loc[1, "val_map"] == 0.65 and table.loc[1, "seconds_train"] == 2.0


def test_accuracies_appear_only_where_they_were_measured() -> None:
    """A run that 0.1.0 began on images of one label has them from then on."""
    assert "val_accuracy" not in history_table(trial_records(EVENTS).values())
    later = epoch(2, 2, 0.8)
    later["metrics"] |= {"val_accuracy": 0.9, "train_accuracy": 0.95}
    records = trial_records([*EVENTS, later]).values()
    history, trials = history_table(records), trials_table(records, "val_map")
    assert history["val_accuracy"].isna().tolist() == [True, True, True, True, False]
    assert trials["val_accuracy"].dropna().tolist() == [0.9] and "val_top5_accuracy" not in trials


def test_best_is_a_finished_trial() -> None:
    best = best_record(trial_records(EVENTS).values(), "val_map")
    assert best is not None and best.number == 0, "trial 2 has the better value, but was interrupted"
    assert best_record([], "val_map") is None


def test_empty_tables_keep_their_columns() -> None:
    assert list(trials_table([], "val_map").columns)[:2] == ["trial", "status"]
    assert "val_map" in trials_table([], "val_map") and "train_loss" in history_table([])


def test_no_cell_of_a_table_is_run_by_a_spreadsheet(tmp_path: Path) -> None:
    table = pd.DataFrame({"=file": ["@SUM(A1).jpg", "a.jpg", None], "value": [-0.5, 1e-5, float("nan")]})
    folder = RunFolder(tmp_path)
    folder.write_table(folder.rejected_file, table)
    assert folder.rejected_file.read_text() == "'=file,value\n'@SUM(A1).jpg,-0.5\na.jpg,1e-05\n,\n"


def test_a_torn_last_line_is_dropped_and_a_damaged_one_named(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    lines = [json.dumps(event) + "\n" for event in EVENTS]
    folder.events_file.write_text("".join(lines) + lines[3][:20])
    assert list(folder.events()) == EVENTS
    folder.events_file.write_text(lines[0] + "{oops}\n" + lines[1])
    with pytest.raises(ConfigError, match="line 2: damaged event"):
        list(folder.events())


def test_a_long_log_keeps_its_order_and_names_its_damaged_line(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    lines = [json.dumps({**AT, "event": "session_started", "number": number}) + "\n" for number in range(2500)]
    folder.events_file.write_text("".join(lines) + lines[0][:9])
    assert [event["number"] for event in folder.events()] == list(range(2500))
    lines[1999] = "{oops}\n"
    folder.events_file.write_text("".join(lines))
    with pytest.raises(ConfigError, match="line 2000: damaged event"):
        list(folder.events())


def test_load_run_refuses_other_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not a run folder: it holds no events.jsonl"):
        load_run(tmp_path)


def test_create_never_reuses_a_folder(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "a" / "run")
    folder.create()
    with pytest.raises(ConfigError, match="exists already and is never overwritten"):
        folder.create()
