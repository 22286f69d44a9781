"""The event log holds JSON that every reader understands."""

from __future__ import annotations

import json
import math
from pathlib import Path

from thaw.analysis.records import TrialRecord, apply_event, ranking, trial_records
from thaw.analysis.run_folder import RunFolder
from thaw.analysis.tables import history_table, trials_table
from thaw.search.engine.events import EventLog
from thaw.spaces import TrialConfig


def test_numbers_that_are_not_finite_become_null(tmp_path: Path) -> None:
    """A reader of the log sees a trial without that value, and the search continues."""
    records: dict[int, TrialRecord] = {}
    log = EventLog(RunFolder(tmp_path), 1)
    apply_event(records, log.append("trial_started", trial=0, config=TrialConfig().model_dump()))
    row = {"metrics": {"val_map": math.nan, "val_loss": 0.5}, "label_ap": [math.inf, 0.5], "parameters": 1}
    row |= {"learning_rate": 0.1, "gradient_norm": -math.inf, "seconds": {"train": 1.0}}
    event = log.append("epoch", trial=0, epoch=1, **row)
    apply_event(records, event)
    apply_event(records, log.append("trial_ended", trial=0, status="completed", reason="max_epochs"))
    log.close()
    _, written, _ = (tmp_path / "events.jsonl").read_text().splitlines()
    assert json.loads(written) == event
    assert event["metrics"] == {"val_map": None, "val_loss": 0.5} and event["label_ap"] == [None, 0.5]
    assert [value for value in records[0].values("val_map").values() if not math.isnan(value)] == []
    assert ranking(records.values(), "val_map") == [records[0]]
    trials, history = trials_table(records.values(), "val_map"), history_table(records.values())
    assert trials["val_map"].isna().all() and history["gradient_norm"].isna().all()
    assert history["val_loss"].tolist() == [0.5]


def test_a_file_name_that_is_not_text_is_escaped_and_read_in_older_logs(tmp_path: Path) -> None:
    """As an error's message may hold it; pandas and plots refuse such strings."""
    folder, reason = RunFolder(tmp_path), "FileNotFoundError: caf\udce9.jpg ☕"
    records: dict[int, TrialRecord] = {}
    log = EventLog(folder, 1)
    apply_event(records, log.append("trial_started", trial=0, config=TrialConfig().model_dump()))
    apply_event(records, log.append("trial_ended", trial=0, status="failed", reason=reason))
    log.close()
    escaped = "FileNotFoundError: caf\\udce9.jpg ☕"
    assert records[0].error == [*folder.events()][1]["reason"] == escaped
    started, ended = folder.events_file.read_text().splitlines()
    folder.events_file.write_text(f"{started}\n{json.dumps({**json.loads(ended), 'reason': reason})}\n")
    assert [*folder.events()][1]["reason"] == escaped
    assert trials_table(trial_records(folder.events()).values(), "val_map")["error"].tolist() == [escaped]
