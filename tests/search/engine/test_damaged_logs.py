"""A damaged event log at resume: the search continues from it, or a ConfigError names the line and the fix."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from tests.damage import PROPERTY, damaged_log, right_or_refused
from tests.search.engine.test_replay import Workers, config, mirror_of, state_of
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.observers import Observers
from thaw.search.observers.checkpoints import CheckpointKeeper
from thaw.search.observers.live import TRIALS, Clock, LiveView
from thaw.search.observers.progress import Progress
from thaw.search.observers.tensorboard import TensorBoard
from thaw.search.settings.config import SearchConfig
from thaw.search.settings.finite import searched_once
from thaw.spaces import ConfigError


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[SearchConfig, str]:
    """A search that was killed after some steps, and its log."""
    place = tmp_path_factory.mktemp("written")
    settings = config(place)
    folder = RunFolder(place / "run")
    folder.path.mkdir()
    state = state_of(settings, folder)
    state.start_session()
    workers = Workers(state, 3)
    for _ in range(25):
        workers.step()
    state.events.close()
    return settings, folder.events_file.read_text()


def go_on(settings: SearchConfig, folder: RunFolder) -> None:
    """Resume from a log as `thaw resume` does, and take some steps of the new session."""
    past = list(folder.events())
    settings, _ = searched_once(settings, past)
    state = state_of(settings, folder, 2, past)
    view = LiveView(settings.search_space, state.metric, state.proposer.trials, TRIALS, Clock(time.time()))
    observers = [
        mirror_of(state, folder),
        TensorBoard(folder, state.metric, settings.search_space),
        CheckpointKeeper(folder, settings.checkpoints, state.metric),
        Progress(Console(quiet=True), view),
    ]
    state.observers = Observers(observers, warn=pytest.fail)
    try:
        state.start_session()
        workers = Workers(state, 4)
        for _ in range(8):
            workers.step()
    finally:
        state.observers.close()
        state.events.close()


@PROPERTY
@given(data=st.data())
def test_any_log_is_resumed_or_refused(
    written: tuple[SearchConfig, str], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    settings, text = written
    folder = RunFolder(tmp_path_factory.mktemp("log"))
    folder.events_file.write_text(data.draw(damaged_log(text)))
    right_or_refused(lambda: go_on(settings, folder), folder.path)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"event": "trial_ennded"}, id="an unknown event instead of a trial's end"),
        pytest.param({"event": "trial_paused", "status": "interrupted"}, id="interrupted instead of ended"),
    ],
)
def test_a_trial_is_never_promoted_while_it_runs(
    change: dict[str, Any], written: tuple[SearchConfig, str], tmp_path: Path
) -> None:
    """It is the best at its rung, and the log has no end of it."""
    settings, text = written
    lines = [json.loads(line) for line in text.splitlines()]
    at = next(n for n, event in enumerate(lines) if event["event"] == "trial_ended")
    for event in lines:
        if event["event"] == "epoch" and event["trial"] == lines[at]["trial"]:
            event["metrics"]["val_map"] = 1.0
    lines[at] |= change
    folder = RunFolder(tmp_path)
    folder.events_file.write_text("".join(json.dumps(line) + "\n" for line in lines))
    go_on(settings, folder)
    assert [event["event"] for event in folder.events()].count("trial_started") > 8


@pytest.mark.parametrize(
    ("line", "change", "message"),
    [
        (2, {"distributions": None}, "distributions: "),
        (2, {"distributions": {}}, "the space holds no trial of {}"),
        (2, {"distributions": {"epochs": {}}}, "the space holds no trial of {'epochs': "),
        (2, {"distributions": {"no parameter": {}}}, "KeyError: 'no parameter'"),
        (2, {"trial": 7}, "trial 7 starts, 0 would be the next one"),
        (4, {"metrics": {}}, "KeyError: 'val_map'"),
        (4, {"metrics": {"val_map": None}}, "TypeError"),
        (4, {"decision": "finish", "reason": "boredom"}, "KeyError: 'boredom'"),
        (4, {"decision": "perhaps"}, "KeyError: 'perhaps'"),
    ],
)
def test_events_that_no_search_writes_are_refused(
    line: int, change: dict[str, Any], message: str, written: tuple[SearchConfig, str], tmp_path: Path
) -> None:
    settings, text = written
    lines = text.splitlines()[:line]
    lines[line - 1] = json.dumps({**json.loads(lines[line - 1]), **change})
    folder = RunFolder(tmp_path)
    folder.events_file.write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigError, match=rf"events.jsonl: line {line}: damaged event") as error:
        go_on(settings, folder)
    assert message in str(error.value)
