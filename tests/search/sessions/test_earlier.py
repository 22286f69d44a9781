"""A search that learns from earlier runs: the trials it takes, its messages, and how it is resumed."""

from __future__ import annotations

import io
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from tests.interruption import StopAfter
from tests.searches import HALVING, check_whole, comparable_history, resume, small_config, small_search
from thaw.analysis.report.answer import answer
from thaw.analysis.run import Run
from thaw.analysis.run_folder import RunFolder
from thaw.search.sessions.tuner import run_search
from thaw.spaces import ConfigError

NARROW: dict[str, Any] = {"learning_rate": {"log": [1e-3, 1e-2]}, "optimizer": ["adamw", "sgd"]}
"""Momentum is fixed, and half of the learning rates of `HALVING` are gone."""


def next_search(halving: Run, algorithm: str = "tpe", **sections: Any) -> dict[str, Any]:
    search = {"algorithm": algorithm, "trials": 3, "concurrency": 1, "learn_from": [str(halving.folder.path)]}
    return {**HALVING, "name": "next", "space": NARROW, "search": search, **sections}


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory, halving: Run, squares: Path, cache: Path) -> Run:
    return small_search(tmp_path_factory.mktemp("followed"), squares, cache, **next_search(halving))


def test_the_trials_taken_from_a_run(followed: Run, halving: Run) -> None:
    event = next(event for event in followed.folder.events() if event["event"] == "earlier_trials")
    (run,) = event["runs"]
    low = [record.config["learning_rate"] < 1e-3 for record in halving.records.values()]
    other = [record.config["momentum"] != 0.9 for record in halving.records.values()]
    assert run["name"] == "squares" and run["trials"] == 12
    assert run["left_out"] == {
        "outside of this space in learning_rate": sum(low),
        "with another momentum than is fixed here": sum(b and not a for a, b in zip(low, other, strict=True)),
    }
    assert run["known"] == len(event["trials"]) == 12 - sum(run["left_out"].values()) > 0
    for trial in event["trials"]:
        record = halving.records[trial["number"]]
        assert (trial["config"], trial["status"]) == (record.config, record.status)
        assert trial["values"] == list(record.values("val_map").values())


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_ray_equals_this_process(followed: Run, halving: Run, tmp_path: Path, squares: Path, cache: Path) -> None:
    ray = small_search(tmp_path, squares, cache, backend="ray", **next_search(halving))
    pd.testing.assert_frame_equal(comparable_history(ray), comparable_history(followed), check_exact=True)


def test_they_are_not_trials_of_the_run(followed: Run) -> None:
    run = check_whole(followed.folder)
    assert list(run.records) == list(run.trials["trial"]) == [0, 1, 2]
    assert run.earlier[0]["name"] == "squares"
    facts = answer(run)
    (sentence,) = (fact for fact in facts.facts if "earlier runs" in fact)
    assert f"{run.earlier[0]['known']} of 12 trials of squares; left out: " in sentence
    assert "3 values, after" in facts.caveats[0]


def test_killed_and_resumed_without_the_earlier_run(
    halving: Run, followed: Run, stop_after: StopAfter, tmp_path: Path, squares: Path, cache: Path
) -> None:
    """The second time it is killed, too, before its log knew of the earlier run; then it still needs that."""
    earlier = tmp_path / "squares"
    shutil.copytree(halving.folder.path, earlier)
    sections = next_search(halving)
    sections["search"] = {**sections["search"], "learn_from": str(earlier)}
    stop_after(folder := RunFolder(tmp_path / "results" / "next"), 0)
    small_search(tmp_path, squares, cache, **sections)
    started = folder.events_file.read_bytes().splitlines(keepends=True)[0]
    folder.events_file.write_bytes(started)
    stop_after(folder, 3)
    resume(folder)
    shutil.rmtree(earlier)
    stop_after(folder, None)
    resume(folder)
    run = check_whole(folder)
    pd.testing.assert_frame_equal(comparable_history(run), comparable_history(followed), check_exact=True)
    reasons = [event["reason"] for event in run.folder.events() if event["event"] == "trial_started"]
    assert reasons == [e["reason"] for e in followed.folder.events() if e["event"] == "trial_started"]


def refused(halving: Run, tmp_path: Path, squares: Path, cache: Path, **sections: Any) -> str:
    with pytest.raises(ConfigError) as raised:
        small_search(tmp_path / "refused", squares, cache, **next_search(halving, **sections))
    assert not (tmp_path / "refused" / "results" / "next").exists()
    return str(raised.value)


def test_other_data_are_refused(halving: Run, tmp_path: Path, squares: Path, cache: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(squares, other)
    lines = (other / "labels.csv").read_text().splitlines()
    (other / "labels.csv").write_text("\n".join(lines[:-1]) + "\n")
    data = {"images": str(other / "images"), "labels": str(other / "labels.csv")}
    message = refused(halving, tmp_path, squares, cache, data=data)
    assert "must be a run on the same data, its images or labels differ" in message
    assert halving.provenance["data"]["fingerprint"] in message and str(halving.folder.path) in message
    assert "its training and validation images differ" in refused(
        halving, tmp_path, squares, cache, data={"split": {"seed": 1}}
    )
    message = refused(halving, tmp_path, squares, cache, data={"augment": "none"})
    assert "data.augment is 'paper' there and 'none' here" in message


def test_other_folders_are_refused_before_anything_is_read(tmp_path: Path, squares: Path, cache: Path) -> None:
    sections: dict[str, Any] = {"search": {"algorithm": "tpe", "learn_from": ["absent"]}, "data": {"images": "nowhere"}}
    with pytest.raises(ConfigError, match=r"search.learn_from: .*absent: not a run folder"):
        small_search(tmp_path, squares, cache, **sections)
    for algorithm in ("grid", "random"):
        search = {"algorithm": algorithm, "learn_from": ["absent"]}
        with pytest.raises(ConfigError, match=f"goes with an algorithm that learns .*, not with {algorithm}"):
            small_config(tmp_path, squares, cache, search=search)


def test_the_messages_on_the_terminal(halving: Run, tmp_path: Path, squares: Path, cache: Path) -> None:
    sections = next_search(halving, space={"learning_rate": [0.003]})
    console = Console(record=True, width=200, file=io.StringIO())
    run_search(small_config(tmp_path, squares, cache, **sections), console, backend="inline")
    text = console.export_text()
    assert "learns from 0 of 12 trials of squares; left out: " in text
    assert "every configuration of this space is tried" in text
