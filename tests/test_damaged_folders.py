"""Damaged or hostile run folders and bundles are read, or a ConfigError says what is wrong."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.bundles import write_bundle
from tests.confirmations import leader, outcome
from tests.damage import PROPERTY, damaged, damaged_log, right_or_refused
from tests.synthetic_runs import synthetic_run
from thaw.analysis.plots.facts import label_facts
from thaw.analysis.report.answer import answer
from thaw.analysis.report.beside import beside
from thaw.analysis.report.confirmation import confirmation
from thaw.analysis.report.made_with import made_with
from thaw.analysis.report.trial_rows import trial_rows
from thaw.analysis.run_data import RunData
from thaw.analysis.run_folder import RunFolder
from thaw.search.best import best_yaml
from thaw.search.sessions.lock import driving
from thaw.spaces import ConfigError
from thaw.trainables.bundles.bundle import FACTS, load_bundle

DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = synthetic_run(tmp_path_factory.mktemp("damaged") / "run", 4, epochs=3, labels=3).folder
    folder.confirm_file.write_text(json.dumps(outcome(leader(1, 0.5), leader(0, 0.4))))
    return folder.path


def read_all(path: Path) -> None:
    """Everything that commands and reports read of a run, except for pictures."""
    run = RunData(RunFolder(path).require())
    best_yaml(run)  # type: ignore[arg-type]
    for read in (answer, beside, confirmation, label_facts, made_with, trial_rows):
        read(run)
    run.trials.to_csv()
    run.history.to_csv()


@PROPERTY
@given(data=st.data())
def test_a_damaged_log(whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("log") / "run")
    shutil.copytree(whole, folder.path)
    folder.events_file.write_text(data.draw(damaged_log(folder.events_file.read_text())))
    right_or_refused(lambda: read_all(folder.path), folder.path)


@PROPERTY
@given(data=st.data())
def test_damaged_settings_provenance_and_confirmation(
    whole: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = RunFolder(tmp_path_factory.mktemp("facts") / "run")
    shutil.copytree(whole, folder.path)
    # YAML holds JSON.
    file = data.draw(st.sampled_from([folder.provenance_file, folder.confirm_file, folder.search_file]))
    content = data.draw(damaged(yaml.safe_load(file.read_text())))
    file.write_text(yaml.safe_dump(content) if file == folder.search_file else json.dumps(content))
    right_or_refused(lambda: read_all(folder.path), folder.path)


@PROPERTY
@given(data=st.data())
def test_a_damaged_bundle(bundle: Path, data: st.DataObject) -> None:
    facts = json.loads((bundle / "whole.json").read_text())
    (bundle / FACTS).write_text(json.dumps(data.draw(damaged(facts))))
    right_or_refused(lambda: load_bundle(bundle, "cpu"), bundle)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    write_bundle(folder)
    shutil.copy(folder / FACTS, folder / "whole.json")
    return folder


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("image_size", -5, "model.image_size: must be a whole number from 32 to 1024, got -5"),
        ("image_size", 10**9, "model.image_size: must be a whole number from 32 to 1024, got 1000000000"),
        ("std", [0, 0.2, 0.2], "model.std: must be three numbers > 0"),
        ("std", [10**400, 1, 1], "does not describe a model"),
        ("mean", [math.nan] * 3, "does not describe a model"),
    ],
)
def test_an_impossible_model_is_refused(bundle: Path, key: str, value: Any, message: str) -> None:
    facts = json.loads((bundle / "whole.json").read_text())
    facts["model"][key] = value
    (bundle / FACTS).write_text(json.dumps(facts))
    with pytest.raises(ConfigError, match=message):
        load_bundle(bundle, "cpu")


def test_nesting_is_refused(bundle: Path, whole: Path, tmp_path: Path) -> None:
    (bundle / FACTS).write_text(DEEP)
    with pytest.raises(ConfigError, match="damaged"):
        load_bundle(bundle, "cpu")
    for name in ("events.jsonl", "provenance.json", "search.yaml"):
        folder = shutil.copytree(whole, tmp_path / name)
        (folder / name).write_text(DEEP + "\n")
        with pytest.raises(ConfigError, match=rf"{name}.*damaged"):
            read_all(folder)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[1, 2]", "must be an object with the name of an event"),
        ('{"v": 2, "event": "epoch"}', "its version v must be 1, got 2; a newer Thaw may read it"),
        (
            '{"v":1,"time":1,"session":1,"event":"trial_ended","trial":99,"status":"completed","reason":""}',
            "not started",
        ),
        ('{"v":1,"time":1,"session":1,"event":"trial_paused","trial":0,"status":"odd","reason":""}', "status: "),
        (f'{{"v":1,"time":1{"0" * 400},"session":1,"event":"session_started"}}', "time: .*a number with many digits"),
    ],
)
def test_a_line_that_is_not_an_event_is_reported(whole: Path, tmp_path: Path, line: str, message: str) -> None:
    folder = RunFolder(shutil.copytree(whole, tmp_path / "run"))
    first, rest = folder.events_file.read_text().split("\n", 1)
    folder.events_file.write_text(f"{first}\n{line}\n{rest}")
    with pytest.raises(ConfigError, match=rf"events.jsonl: line 2: damaged event: .*{message}.*; bring the file back"):
        list(folder.events())


@pytest.mark.parametrize("name", ["provenance.json", "search.yaml"])
def test_a_device_is_not_read(whole: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(whole, tmp_path / "run")
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    with pytest.raises(ConfigError, match=f"{name}: damaged: must be a regular file"):
        read_all(folder)


@pytest.mark.parametrize("name", [".lock", "events.jsonl", "checkpoints", "tensorboard/trial-0000", "ray"])
def test_no_link_in_a_run_folder_is_followed(whole: Path, tmp_path: Path, name: str) -> None:
    folder = RunFolder(shutil.copytree(whole, tmp_path / "run"))
    precious = tmp_path / "precious"
    precious.write_text("precious")
    link = folder.path / name
    link.unlink(missing_ok=True)
    link.parent.mkdir(exist_ok=True)
    os.symlink(precious, link)
    with pytest.raises(ConfigError, match=f"{name}: links in a run folder"), driving(folder):
        pass
    assert precious.read_text() == "precious"
