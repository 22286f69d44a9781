"""The state rebuilt from an event log equals the state that wrote it, wherever the log ends."""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import optuna
import pytest
import yaml

from thaw.analysis.records import trial_records
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.events import EventLog, seconds_used, seconds_waited
from thaw.search.engine.observers import Observers
from thaw.search.engine.proposals import StudyProposer
from thaw.search.engine.proposers import build_proposer
from thaw.search.engine.state import SearchState
from thaw.search.observers.mirror import StudyMirror
from thaw.search.sessions.tuner import new_state
from thaw.search.settings.config import SearchConfig, load_config
from thaw.spaces import TrialConfig, measured
from thaw.trainables.messages import EpochRow, Report

SPACE = {
    "learning_rate": {"log": [1e-4, 1e-2]},
    "optimizer": ["adamw", "sgd"],
    "momentum": {"float": [0.8, 0.99], "when": {"optimizer": "sgd"}},
    "epochs": [4, 9],
    "freeze_depth": {"int": [0, 5]},
}


def config(folder: Path, **sections: Any) -> SearchConfig:
    content = {
        "name": "replayed",
        "data": {"builtin": "digits"},
        "space": SPACE,
        "search": {"trials": 12, "start_with": [{"learning_rate": 0.001}]},
        "scheduler": {"type": "asha_promotion", "reduction_factor": 2},
        "max_failures": 1,
        **sections,
    }
    (folder / "search.yaml").write_text(yaml.safe_dump(content))
    return load_config(folder / "search.yaml")


def state_of(config: SearchConfig, folder: RunFolder, *more: Any) -> SearchState:
    return new_state(config, build_proposer(config), folder, *more)


def mirror_of(state: SearchState, folder: RunFolder) -> StudyMirror:
    assert isinstance(state.proposer, StudyProposer)
    return StudyMirror(folder, state.proposer.study)


def facts(state: SearchState) -> dict[str, Any]:
    """All that later decisions depend on."""
    assert isinstance(state.proposer, StudyProposer)
    study = [
        (t.number, t.state, t.params, t.distributions, t.values, t.intermediate_values)
        for t in state.proposer.study.study.trials
    ]
    rule = {name: value for name, value in vars(state.rule).items() if name != "metric"}
    known = {
        "records": state.records,
        "open": set(state._open),
        "unsettled": state._unsettled,
    }
    return copy.deepcopy({"study": study, "rule": rule, **known})


class Workers:
    """Plays a backend: runs proposals on two workers, some of which are lost, with random values."""

    def __init__(self, state: SearchState, seed: int) -> None:
        self.state, self.rng = state, random.Random(seed)
        self.at: dict[int, int] = {}

    def step(self) -> bool:
        """Let one thing happen; False once nothing is left to do."""
        state = self.state
        if len(state.running) < 2:
            assignment = state.propose()
            if assignment is not None:
                assert assignment.trial not in self.at
                self.at[assignment.trial] = assignment.logged
                return True
        if not self.at:
            state.finish()
            return False
        number = self.rng.choice(sorted(self.at))
        fate = self.rng.random()
        if fate < 0.1:
            del self.at[number]
            state.lose(number, "the worker process died")
        elif fate < 0.13:
            del self.at[number]
            state.end(number, "failed", "the training loss became nan in epoch 3")
        else:
            self.at[number] += 1
            if not state.report(number, Report(self.row(number, self.at[number]), "worker:1")):
                del self.at[number]
        return True

    def row(self, number: int, epoch: int) -> EpochRow:
        # The same value whenever an epoch is trained, as in Thaw.
        values = random.Random(f"{number} {epoch}")
        last = epoch == self.state.records[number].config["epochs"]
        metrics = {f"{split}_{name}": values.random() for split in ("val", "train") for name in measured(False, 3)}
        finished = "max_epochs" if last else "patience" if values.random() < 0.05 else ""
        return EpochRow(epoch, metrics, [], 0.01, 1.0, {"train": 1.0}, 10, finished)


ARMS = [("tpe", "asha"), ("tpe", "asha_promotion"), ("auto", "percentile"), ("auto", "median"), ("auto", "none")]


def arm(algorithm: str, rule: str) -> dict[str, Any]:
    """Sections of a search that proposes and stops in this way."""
    return {
        "search": {"algorithm": algorithm, "trials": 12, "start_with": [{"learning_rate": 0.001}]},
        "scheduler": {"type": rule, "reduction_factor": 2},
    }


@pytest.mark.parametrize(("algorithm", "rule"), ARMS)
@pytest.mark.parametrize("seed", range(2))
def test_any_prefix_gives_the_live_state(algorithm: str, rule: str, seed: int, tmp_path: Path) -> None:
    settings = config(tmp_path, **arm(algorithm, rule))
    (tmp_path / "run").mkdir()
    state = state_of(settings, folder := RunFolder(tmp_path / "run"))
    snapshots: list[dict[str, Any]] = []
    apply: Callable[[dict[str, Any]], None] = state._apply

    def applied(event: dict[str, Any]) -> None:
        apply(event)
        snapshots.append(facts(state))

    state._apply = applied  # type: ignore[method-assign]
    state.start_session()
    workers = Workers(state, seed)
    while workers.step():
        pass
    state.end_session("done", 1.0)
    events = list(folder.events())
    assert len(events) == len(snapshots) > 30 and {"trial_paused", "trial_continued"} <= {e["event"] for e in events}
    for length in range(seed, len(events) + 1, 5):
        (tmp_path / str(length)).mkdir()
        rebuilt = state_of(settings, RunFolder(tmp_path / str(length)), 2, events[:length])
        if length:
            assert facts(rebuilt) == snapshots[length - 1]
        rebuilt.events.close()


@pytest.mark.parametrize(("algorithm", "rule"), ARMS)
def test_a_search_killed_anywhere_ends_as_it_should(algorithm: str, rule: str, tmp_path: Path) -> None:
    """Sessions of a few steps, each ended as by kill -9, some with a torn line or the last event lost."""
    settings = config(tmp_path, **arm(algorithm, rule))
    rng = random.Random(0)
    folder = RunFolder(tmp_path / "run")
    folder.path.mkdir()
    session, unfinished = 0, True
    while unfinished:
        session += 1
        if folder.events_file.exists() and rng.random() < 0.7:
            content = folder.events_file.read_bytes()
            whole = content.rindex(b"\n", 0, -1) + 1
            folder.events_file.write_bytes(content[: rng.randint(whole, len(content))])
        state = state_of(settings, folder, session, list(folder.events()) if session > 1 else ())
        state.start_session()
        workers = Workers(state, session)
        for _ in range(rng.randint(2, 12)):
            unfinished = workers.step()
            if not unfinished:
                break
        state.events.close()
    assert session > 3
    events = list(folder.events())
    assert [e["trial"] for e in events if e["event"] == "trial_started"] == list(range(12))
    assert sorted(e["trial"] for e in events if e["event"] == "trial_ended") == list(range(12))
    rows = [(e["trial"], e["epoch"]) for e in events if e["event"] == "epoch"]
    assert len(rows) == len(set(rows))
    for number, record in trial_records(events).items():
        assert sorted(record.epochs) == list(range(1, len(record.epochs) + 1))
        assert record.ended and record.failures <= 1, number
        TrialConfig.model_validate(record.config)


@pytest.mark.parametrize("step", [1, 0, -1], ids=["clock goes on", "clock stands still", "clock goes back"])
def test_the_journal_is_the_same_live_and_rebuilt(step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(1_000_000_000, step)
    monkeypatch.setattr("thaw.search.engine.events.time", SimpleNamespace(time=lambda: float(next(clock))))
    settings = config(tmp_path)
    (tmp_path / "run").mkdir()
    state = state_of(settings, folder := RunFolder(tmp_path / "run"))
    state.observers = Observers([mirror_of(state, folder)], warn=pytest.fail)
    state.observers.open(state.records)
    workers = Workers(state, 0)
    while workers.step():
        pass
    ends = {event["trial"]: event for event in folder.events() if event["event"] == "trial_ended"}
    contents = []
    for made in ("live", "anew"):
        storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(folder.study_file)))
        study = optuna.load_study(study_name="run", storage=storage)
        assert study.metric_names == [state.metric]
        assert [trial.user_attrs["trial"] for trial in study.trials] == [trial.number for trial in study.trials]
        for trial in study.trials:
            event = ends[trial.user_attrs["trial"]]
            assert trial.user_attrs["status"] == event["status"] and trial.datetime_complete is not None
            # Live, Optuna records the time of the call as the end of a running trial.
            assert made == "live" or trial.datetime_complete.timestamp() == pytest.approx(event["time"], abs=1e-3)
        contents.append([(t.params, t.value, t.intermediate_values, t.state, t.datetime_start) for t in study.trials])
        again = state_of(settings, folder, 2, list(folder.events()))
        mirror_of(again, folder).open(again.records)
    assert contents[0] == contents[1] and not list(folder.path.glob(".study*"))


def test_a_torn_line_is_cut_off_before_anything_is_added(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    log = EventLog(folder, 1)
    log.append("session_started", overrides=[])
    log.close()
    with folder.events_file.open("ab") as file:
        file.write(b'{"v":1,"time":1.0,"event":"epo' + b"x" * 200_000)
    log = EventLog(folder, 2)
    log.append("session_started", overrides=[])
    log.close()
    assert [event["session"] for event in folder.events()] == [1, 2]


def test_the_time_of_a_killed_session_counts_up_to_its_last_event() -> None:
    times = [(1, 100.0), (1, 130.0), (2, 1000.0), (2, 1005.5), (3, 2000.0)]
    assert seconds_used({"session": session, "time": time} for session, time in times) == 35.5


def test_the_users_time_begins_with_each_command() -> None:
    begun = {1: 90.0, 2: 996.5}  # the third session is one of a version that did not note it
    times = [(1, 100.0), (1, 130.0), (2, 1000.0), (2, 1005.5), (3, 2000.0), (3, 2001.0)]
    first = {session: min(time for other, time in times if other == session) for session, _ in times}
    events = [
        {"session": session, "time": time}
        | ({"began": begun[session]} if session in begun and time == first[session] else {})
        for session, time in times
    ]
    assert seconds_waited(events) == 40.0 + 9.0 + 1.0
