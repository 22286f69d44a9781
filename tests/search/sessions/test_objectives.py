"""Searches with several objectives from end to end: costs of real networks, resuming, and the Pareto front."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

from tests.interruption import StopAfter
from tests.searches import comparable_history, resume, small_config, small_search
from thaw.analysis.objectives import outcome
from thaw.analysis.plots import PLOTS
from thaw.analysis.report.answer import answer
from thaw.analysis.run import Run
from thaw.analysis.run_folder import RunFolder
from thaw.search.best import front_table
from thaw.search.confirmation.plan import confirm_config
from thaw.search.delivery.single import trial_file
from thaw.search.settings.config import load_config
from thaw.search.summary import print_summary
from thaw.spaces import ConfigError
from thaw.trainables.networks.backbone import resolve

OBJECTIVES = ["val_map", "parameters", "macs"]

SECTIONS: dict[str, Any] = {
    "space": {"learning_rate": {"log": [1e-4, 1e-2]}, "head_units": {"int": [0, 64]}},
    "training": {"epochs": 2, "head_units": None},
    "search": {"algorithm": "tpe", "trials": 5, "concurrency": 1, "objectives": OBJECTIVES},
    "scheduler": {"type": "asha", "grace_period": 1, "reduction_factor": 2},
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path) -> Run:
    return small_search(tmp_path_factory.mktemp("several"), squares, cache, **SECTIONS)


def test_costs_are_those_of_the_network_with_its_head(run: Run) -> None:
    stages = resolve("convnet", "none", 32).cost.stages
    features = resolve("convnet", "none", 32).features
    for record in run.records.values():
        units = record.config["head_units"]
        dense = [(features, units), (units, 3)] if units else [(features, 3)]
        weights = sum(a * b for a, b in dense)
        expected = {
            "parameters": sum(stage.parameters for stage in stages) + weights + sum(b for _, b in dense),
            "macs": sum(stage.macs for stage in stages) + weights,
        }
        assert {str(event["costs"]) for event in record.epochs.values()} == {str(expected)}
    assert run.metric == "val_map" and run.objectives == tuple(OBJECTIVES)
    assert list(run.trials["cost_macs"]) == [record.epochs[1]["costs"]["macs"] for record in run.records.values()]


def test_killed_and_resumed(run: Run, stop_after: StopAfter, tmp_path: Path, squares: Path, cache: Path) -> None:
    stop_after(place := RunFolder(tmp_path / "results" / "squares"), 3)
    small_search(tmp_path, squares, cache, **SECTIONS)
    stop_after(place, None)
    again = resume(place)
    pd.testing.assert_frame_equal(comparable_history(again), comparable_history(run), check_exact=True)
    rows = [[e["costs"] for e in r.folder.events() if e["event"] == "epoch"] for r in (again, run)]
    assert rows[0] == rows[1]


@pytest.mark.slow
@pytest.mark.usefixtures("ray_session")
def test_ray_equals_this_process(run: Run, tmp_path: Path, squares: Path, cache: Path) -> None:
    ray = small_search(tmp_path, squares, cache, backend="ray", **SECTIONS)
    pd.testing.assert_frame_equal(comparable_history(ray), comparable_history(run), check_exact=True)
    assert [r.number for r in ray.front] == [r.number for r in run.front]


def test_the_pareto_front_is_shown_everywhere(run: Run) -> None:
    front = run.front
    assert front[0].number == run.best.number if run.best else False
    smallest = min(run.records.values(), key=lambda record: outcome(record, OBJECTIVES)[1])
    assert smallest.number in [record.number for record in front]
    console = Console(record=True, width=200, file=io.StringIO())
    console.print(front_table(run))
    print_summary(run, console)
    text = console.export_text()
    assert "The Pareto front of val_map, parameters and macs" in text
    assert len(front) < 2 or f"{len(front)} trials on the Pareto front" in text
    data = PLOTS["pareto"].compute(run)
    assert list(data.joint) == [record.number for record in front]
    assert [*data.costs] == ["cost_parameters", "cost_macs"]
    assert f"has {len(front)} of " in PLOTS["pareto"].finding(data)
    run.plot("pareto")
    (sentence,) = (fact for fact in answer(run).facts if "Pareto front" in fact)
    assert f"trial {front[0].number} (" in sentence


def test_one_configuration_has_one_objective(run: Run, tmp_path: Path) -> None:
    assert run.best is not None
    config = trial_file(run, run.best)
    assert (config.search.metric, config.search.costs) == ("val_map", ())
    assert confirm_config(load_config(run.folder.search_file), 4).search.costs == ()


def test_latency_is_measured_once(stop_after: StopAfter, tmp_path: Path, squares: Path, cache: Path) -> None:
    search = {"algorithm": "random", "trials": 3, "concurrency": 1, "objectives": ["val_loss", "latency"]}
    stop_after(place := RunFolder(tmp_path / "results" / "squares"), 1)
    sections = {**SECTIONS, "training": {"epochs": 1, "head_units": None}, "search": search}
    small_search(tmp_path, squares, cache, **sections)
    stop_after(place, None)
    latencies = {event["costs"]["latency"] for event in resume(place).folder.events() if event["event"] == "epoch"}
    assert latencies == {place.provenance()["latency"]["convnet"]} and 0 < min(latencies) < 10


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"objectives": ["seconds", "macs"]}, "search: objectives must be a metric and then different costs"),
        ({"objectives": ["val_map", "val_loss"]}, "a metric and then different costs (seconds, parameters, macs, lat"),
        ({"objectives": ["val_map", "macs", "macs"]}, "different costs"),
        ({"objectives": ["val_map", "speed"]}, "search.objectives.1"),
        ({"objectives": ["val_map", "macs"], "metric": "val_loss"}, "the first of objectives is the metric"),
        ({"objectives": ["val_map", "macs"], "learn_from": "a"}, "learn_from (--from) goes with one objective"),
    ],
)
def test_what_is_refused(search: dict[str, Any], message: str, tmp_path: Path, squares: Path, cache: Path) -> None:
    with pytest.raises(ConfigError) as raised:
        small_config(tmp_path, squares, cache, search={"algorithm": "tpe", **search})
    assert message in str(raised.value)
    one = small_config(tmp_path, squares, cache, search={"algorithm": "tpe", "objectives": ["val_loss"]})
    assert (one.search.metric, one.search.costs) == ("val_loss", ())
