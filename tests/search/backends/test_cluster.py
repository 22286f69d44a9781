"""A search on a Ray cluster: refusals, where trials run, what they see; and Ray without a cluster stays on loopback."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.searches import search_file, small_config
from thaw.analysis.run import load_run
from thaw.search.backends.ray.cluster import joined
from thaw.search.backends.ray.session import session_place, warn_of_open_ports
from thaw.search.prepare.resources import Available, resolve_resources
from thaw.spaces import ConfigError

NODES = [Available(4, 0, "head:1"), Available(8, 2, "a:2"), Available(2, 1, "b:3")]


@pytest.mark.parametrize(
    ("resources", "concurrency"),
    [
        ({"cpu": 1, "gpu": 0}, 14),
        ({"cpu": 1}, 3),  # GPUs are there, so a trial takes a whole one
        ({"cpu": 1, "gpu": 0.25}, 10),  # 8 on one node; 2 processors for 4 quarters on the other
        ({"cpu": 4, "gpu": 0.5}, 2),
        ({"cpu": 3, "gpu": 0}, 3),
    ],
)
def test_how_many_trials_fit_on_the_nodes(
    tmp_path: Path, squares: Path, cache: Path, resources: dict[str, float], concurrency: int
) -> None:
    space = {"dropout": {"float": [0.0, 0.5], "step": 0.01}}
    config = small_config(tmp_path, squares, cache, resources=resources, space=space)
    assert resolve_resources(config, NODES).search.concurrency == concurrency


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (
            {"cpu": 9},
            r"resources\.cpu: a trial requests 9, there are 8 processors on one node \(head:1: 4 processors, 0",
        ),
        ({"cpu": 5, "gpu": 1}, r"resources: no node has 5 processors and 1 GPU together on one node \(head:1: 4 proc"),
    ],
)
def test_a_trial_fits_on_one_node_or_is_refused(
    tmp_path: Path, squares: Path, cache: Path, resources: dict[str, float], message: str
) -> None:
    config = small_config(tmp_path, squares, cache, resources=resources)
    with pytest.raises(ConfigError, match=message):
        resolve_resources(config, [NODES[0], Available(8, 0, "c:4"), NODES[2]])


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("ray://head:10001", "--address: a search runs on a node of the cluster.*ray job submit"),
        ("head", "--address: must be auto or HOST:PORT of the cluster's head, got 'head'"),
        ("local", "must be auto or HOST:PORT"),
        ("a b:1", "must be auto or HOST:PORT"),
    ],
)
def test_addresses_of_another_kind_are_refused(address: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message), joined(address):
        pass


LISTENING = """
import sys
import psutil
if "imported" in sys.argv:
    import ray
from thaw.search.backends.ray.session import running_ray
with running_ray(1):
    import ray
    ray.get(ray.remote(num_cpus=1)(lambda: 1).remote())
    me = psutil.Process()
    for process in [me, *me.children(recursive=True)]:
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN:
                print(connection.laddr.ip)
"""


def run(
    command: list[str], folder: Path, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **(environment or {}), "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)


@pytest.mark.parametrize("before", ["nothing", "imported"])
def test_ray_listens_on_loopback_alone(before: str, tmp_path: Path) -> None:
    """Also where RAY_ADDRESS names a cluster, which a search without --address has nothing to do with; and where a
    notebook has imported Ray before."""
    done = run([sys.executable, "-c", LISTENING, before], tmp_path, {"RAY_ADDRESS": "192.0.2.1:6379"})
    assert done.returncode == 0, done.stderr
    addresses = done.stdout.split()
    assert len(addresses) >= 4 and set(addresses) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.mark.parametrize(
    ("head", "address", "warned"), [(True, "192.0.2.7", True), (True, "127.0.0.1", False), (False, "192.0.2.7", False)]
)
def test_a_ray_that_listens_on_the_network_is_reported(head: bool, address: str, warned: bool) -> None:
    """A stand-in, as a test must not open ports to the network itself. A cluster is meant to be there."""
    node = SimpleNamespace(head=head, node_ip_address=address)
    worker = SimpleNamespace(global_worker=SimpleNamespace(node=node))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        warn_of_open_ports(SimpleNamespace(_private=SimpleNamespace(worker=worker)))
    assert [f"listens on {address}" in str(warning.message) for warning in said] == [True] * warned


@pytest.mark.parametrize(("length", "place"), [(20, "own"), (60, "/tmp/ray"), (140, "/tmp/ray")])
def test_ray_gets_a_folder_with_a_short_path(
    length: int, place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Path("/tmp") / f"{os.getpid()}".ljust(length - len("/tmp/"), "x")
    own.mkdir()
    try:
        monkeypatch.setenv("TMPDIR", str(own))
        monkeypatch.delenv("RAY_TMPDIR", raising=False)
        assert session_place() == (str(own / "ray") if place == "own" else place)
        monkeypatch.setattr(os, "access", lambda *_: False)
        with pytest.raises(
            ConfigError, match=r"TMPDIR: Ray needs a folder .* at most 33 bytes, got /tmp/.*; set TMPDIR"
        ):
            session_place()
    finally:
        own.rmdir()


# --- three nodes -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    token = secrets.token_hex(32)
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token, "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@pytest.fixture(scope="module")
def address(environment: dict[str, str]) -> Iterator[str]:
    """The address of a cluster of three nodes: two with one processor, one with two and a logical GPU."""
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "local_cluster.py")],
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin and process.stdout
    try:
        lines = iter(process.stdout.readline, "")
        yield next(line.strip() for line in lines if line.startswith("127.0.0.1:"))
    finally:
        process.stdin.close()
        process.wait(timeout=60)


def search(file: Path, address: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return run([sys.executable, "-m", "thaw", "search", str(file), "--address", address], file.parent, environment)


@pytest.mark.slow
@pytest.mark.parametrize(("gpu", "concurrency"), [(0, 4), (0.5, 2)])
def test_a_search_over_three_nodes(
    tmp_path: Path, squares: Path, address: str, environment: dict[str, str], gpu: float, concurrency: int
) -> None:
    # Long enough that no worker is through with all of them before the next one has started.
    training = {"epochs": 15, "patience": 0}
    sections: dict[str, Any] = {"resources": {"cpu": 1, "gpu": gpu}, "training": training}
    file = search_file(tmp_path, squares, tmp_path / "cache", **sections)
    done = search(file, address, environment)
    assert done.returncode == 0, done.stdout + done.stderr
    found = load_run(tmp_path / "results" / "squares")
    assert list(found.trials["status"]) == ["completed"] * 4
    assert found.folder.settings()["search"]["concurrency"] == concurrency
    workers = {row["worker"] for record in found.records.values() for row in record.epochs.values()}
    assert len(workers) > 1
    assert not list((tmp_path).rglob(".thaw-*"))


@pytest.mark.slow
def test_impossible_requests_to_the_cluster_are_refused(
    tmp_path: Path, squares: Path, address: str, environment: dict[str, str]
) -> None:
    file = search_file(tmp_path, squares, tmp_path / "cache", resources={"cpu": 3, "gpu": 0})
    done = search(file, address, environment)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "resources.cpu: a trial requests 3, there are 2 processors on one node (" in done.stderr
    assert done.stderr.count("1 processor, 0 GPUs") == 2 and done.stderr.count("2 processors, 1 GPU") == 1
    assert not (tmp_path / "results").exists()
    stranger = {**environment, "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    done = search(file, address, stranger)
    assert done.returncode == 2 and "--address: cannot join a Ray cluster" in done.stderr, done.stderr


SEEN = """
import json, os, sys
from pathlib import Path
from thaw.search.backends.ray.cluster import joined
from thaw.search.prepare.nodes import check_nodes
from thaw.search.settings.config import load_config
from thaw.spaces import ConfigError

def devices():
    import thaw.spaces
    return os.environ.get("CUDA_VISIBLE_DEVICES"), thaw.spaces.__file__

with joined(sys.argv[1]):
    import ray
    print(json.dumps(ray.get([ray.remote(num_gpus=share)(devices).remote() for share in (0, 0.5, 1)])))
    config = load_config(sys.argv[2])
    config = config.model_copy(update={"resources": config.resources.model_copy(update={"gpu": 0})})
    check_nodes(config)
    data = config.data.model_copy(update={"images": "/nowhere/images"})
    try:
        check_nodes(config.model_copy(update={"data": data}))
    except ConfigError as error:
        print(error)
"""


@pytest.mark.slow
def test_the_environment_of_a_trial(tmp_path: Path, squares: Path, address: str, environment: dict[str, str]) -> None:
    """Thaw comes from the driver, a trial sees only its own GPU, and paths are checked on every node."""
    file = search_file(tmp_path, squares, tmp_path / "cache")
    done = run([sys.executable, "-c", SEEN, address, str(file)], tmp_path, environment)
    assert done.returncode == 0, done.stderr
    devices, refusal = done.stdout.splitlines()
    (none, place), (half, _), (whole, _) = json.loads(devices)
    assert none == "" and half == whole == "0"
    assert "runtime_resources" in place
    assert refusal.startswith("data.images: /nowhere/images must be there on all nodes, not seen by ")
    assert len(refusal.partition("not seen by ")[2].split(", ")) == 3
