"""Searches with several objectives: proposed by Optuna, stopped by fronts, and rebuilt from their logs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from tests.search.engine.test_replay import Workers, config, facts, mirror_of, state_of
from thaw.analysis.cost import cost_table
from thaw.analysis.objectives import outcome
from thaw.analysis.records import TrialRecord
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.observers import Observers
from thaw.search.engine.state import SearchState
from thaw.trainables.messages import EpochRow, Report

OBJECTIVES = ["val_map", "seconds", "macs"]


class Costly(Workers):
    """Each epoch names the network's cost; every fifth also pays for activations."""

    def row(self, number: int, epoch: int) -> EpochRow:
        row = super().row(number, epoch)
        seconds = {"prefix": 3.0 * (number % 5 == 0), "train": 0.5 + number % 3}
        return replace(row, seconds=seconds, costs={"macs": 1000.0 + number % 4, "parameters": 5.0})


# Each algorithm and each rule once.
@pytest.mark.parametrize(("algorithm", "rule"), [("tpe", "asha_promotion"), ("auto", "percentile"), ("gp", "asha")])
def test_any_prefix_gives_the_live_state(algorithm: str, rule: str, tmp_path: Path) -> None:
    search = {"algorithm": algorithm, "trials": 12, "objectives": OBJECTIVES}
    settings = config(tmp_path, search=search, scheduler={"type": rule, "reduction_factor": 2})
    (tmp_path / "run").mkdir()
    state = state_of(settings, folder := RunFolder(tmp_path / "run"))
    state.observers = Observers([mirror_of(state, folder)], warn=pytest.fail)
    state.observers.open(state.records)
    state.start_session()
    workers, seen = Costly(state, 1), []
    while workers.step():
        seen.append((sum(1 for _ in folder.events()), facts(state)))
    events = list(folder.events())
    assert events[-1]["event"] == "trial_ended" and "drawn" not in state.proposer.draft(12)["reason"]
    assert {"stop", "wait"} & {event.get("decision") for event in events}
    for length, known in seen[::9]:
        (tmp_path / str(length)).mkdir(exist_ok=True)
        rebuilt = state_of(settings, RunFolder(tmp_path / str(length)), 2, events[:length])
        assert facts(rebuilt) == known
        rebuilt.events.close()
    check_study(folder, state.records)


def check_study(folder: RunFolder, records: dict[int, TrialRecord]) -> None:
    """Optuna's journal has a trial's values of all objectives, and says how it ended."""
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder.study_file)))
    study = optuna.load_study(study_name=folder.path.name, storage=storage)
    assert study.metric_names == OBJECTIVES
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE", "MINIMIZE"]
    for trial in study.trials:
        record = records[trial.number]
        assert trial.user_attrs["status"] == record.status
        assert trial.state == (TrialState.FAIL if record.status == "failed" else TrialState.COMPLETE)
        if record.status != "failed":
            assert tuple(trial.values) == outcome(record, OBJECTIVES)


def test_seconds_are_those_of_a_trial_by_itself(tmp_path: Path) -> None:
    settings = config(
        tmp_path, space={"learning_rate": {"log": [1e-4, 1e-2]}}, search={"trials": 2, "objectives": OBJECTIVES[:2]}
    )
    (tmp_path / "run").mkdir()
    state = state_of(settings, folder := RunFolder(tmp_path / "run"))
    workers = Workers(state, 0)
    for number, prefix in ((0, 6.0), (1, 0.25)):
        assert state.propose() is not None
        for epoch in (1, 2):
            seconds = {"prefix": prefix if epoch == 1 else 0.0, "train": 1.0 + number, "validate": 0.5}
            row = replace(workers.row(number, epoch), seconds=seconds, finished="")
            state.report(number, Report(row, "worker:1"))
    state.end_session("done", 1.0)
    found = [event["costs"] for event in folder.events() if event["event"] == "epoch"]
    # The first trial waited for the shared activations, the second for some: by itself, each would wait for all.
    assert found == [{"seconds": 7.5}, {"seconds": 4.5}, {"seconds": 8.75}, {"seconds": 5.625}]
    last = load_costs(state)
    assert last == [4.5 + 0.125, 5.625]


def load_costs(state: SearchState) -> list[float]:
    """From the report's cost table: mean seconds per epoch by itself."""
    table = cost_table(state.records.values())
    return [float(rows["seconds_alone"].iloc[-1] / len(rows)) for _, rows in table.groupby("trial")]
