"""A real TensorBoard shows every trial, with the values of the run's own tables."""

from __future__ import annotations

import json
import math
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.searches import small_search
from thaw.analysis.run import Run
from thaw.search.observers.tensorboard import STATUS
from thaw.spaces import measured

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""``urlopen`` would remember the proxy that another test of this process has set for a while."""

LIMIT = 90.0
"""Timeout for the server to show the runs, in seconds."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path) -> Run:
    """Three trials, one of which fails."""
    return small_search(
        tmp_path_factory.mktemp("tensorboard"),
        squares,
        cache,
        space={"learning_rate": [0.003, 10.0], "optimizer": ["sgd"], "momentum": [0.9, 0.99]},
        training={"weight_decay": 1.0, "epochs": 3, "patience": 0},
        search={"algorithm": "grid", "trials": 3},
    )


class Server:
    """The address of a TensorBoard, and its answers."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, path: str, **query: str) -> Any:
        with DIRECT.open(f"{self.address}/data/{path}?{urllib.parse.urlencode(query)}", timeout=30) as reply:
            return json.load(reply)

    def post(self, path: str, **body: Any) -> Any:
        request = urllib.request.Request(
            f"{self.address}/data/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with DIRECT.open(request, timeout=30) as reply:
            return json.load(reply)


@pytest.fixture(scope="module")
def server(run: Run) -> Iterator[Server]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    arguments = (
        "--logdir",
        str(run.folder.tensorboard),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--load_fast=false",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        server = Server(f"http://127.0.0.1:{port}")
        deadline = time.monotonic() + LIMIT
        while True:
            try:
                if len(server.get("runs")) == len(run.records):
                    break
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                assert process.poll() is None, "TensorBoard did not start"
            assert time.monotonic() < deadline, "TensorBoard does not show the runs"
            time.sleep(0.3)
        yield server
    finally:
        process.kill()
        process.wait()


def test_every_trial_is_a_run(run: Run, server: Server) -> None:
    assert sorted(run.trials["status"]) == ["completed", "completed", "failed"]
    assert sorted(server.get("runs")) == ["trial-0000", "trial-0001", "trial-0002"]


def test_scalars_are_those_of_the_history(run: Run, server: Server) -> None:
    history = pd.read_csv(run.folder.history_file)
    tags = server.get("plugin/scalars/tags")
    for trial, rows in history.groupby("trial"):
        name = f"trial-{trial:04d}"
        for metric in measured(False, 3):
            for split in ("val", "train"):
                points = server.get("plugin/scalars/scalars", run=name, tag=f"{metric}/{split}")
                assert [step for _, step, _ in points] == list(rows["epoch"])
                assert [value for *_, value in points] == pytest.approx(list(rows[f"{split}_{metric}"]), rel=1e-6)
        assert {"learning_rate", "gradient_norm", "seconds/train"} <= set(tags[name])


def test_hyperparameters_are_next_to_the_best_values(run: Run, server: Server) -> None:
    experiment = server.post("plugin/hparams/experiment", experimentName="")
    types = {info["name"]: info["type"] for info in experiment["hparamInfos"]}
    assert set(types) == {"learning_rate", "optimizer", "momentum", STATUS}, "only searched hyperparameters"
    text = {"optimizer", STATUS}
    assert {name for name, kind in types.items() if kind == "DATA_TYPE_STRING"} == text
    assert {kind for name, kind in types.items() if name not in text} == {"DATA_TYPE_FLOAT64"}
    shown = {info["name"]["tag"] for info in experiment["metricInfos"]}
    assert shown == {f"best/{name}" for name in measured(False, 3)}

    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    columns = [{"metric": {"tag": tag, "group": ""}} for tag in sorted(shown)]
    groups = server.post(
        "plugin/hparams/session_groups",
        experimentName="",
        allowedStatuses=statuses,
        colParams=columns,
        startIndex=0,
        sliceSize=100,
    )["sessionGroups"]
    table = pd.read_csv(run.folder.trials_file).set_index("trial").to_dict("index")
    by_trial = {int(group["sessions"][0]["name"].rpartition("-")[2]): group for group in groups}
    assert by_trial.keys() == table.keys()
    for trial, group in by_trial.items():
        for name in types.keys() - {STATUS}:
            assert group["hparams"][name] == table[trial][name], name
        assert group["hparams"][STATUS] == table[trial]["status"]
        values = {value["name"]["tag"]: value["value"] for value in group.get("metricValues", [])}
        for name in measured(False, 3):
            expected = float(table[trial][f"val_{name}"])
            assert math.isnan(expected) or values[f"best/{name}"] == pytest.approx(expected, rel=1e-6)
        assert bool(values) == (table[trial]["status"] == "completed")
