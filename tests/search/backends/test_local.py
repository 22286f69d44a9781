"""Forked workers: the server they are forked from, their end, and the code they run."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import ROOT
from tests.searches import small_search
from thaw.search.backends import check_backend, check_resources, starting_ahead
from thaw.search.backends.local import processes
from thaw.search.backends.local.processes import Server
from thaw.search.import_files import import_files
from thaw.search.settings.schema import ResourcesConfig
from thaw.spaces import ConfigError

IMPORTING = {"python", "python3", "jemalloc_bg_thd"}
"""Names of the threads that imports leave: pyarrow's allocator has one, which a fork does not need."""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server that starts at once, as it cannot import torch."""
    (tmp_path / "torch.py").write_text("raise ImportError('libfast.so.1: cannot open shared object file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    server = Server()
    yield server
    server.end()


@pytest.mark.slow
@pytest.mark.usefixtures("local_session")
def test_workers_share_one_import_and_get_the_users_code(
    own_code: Callable[[], None], tmp_path: Path, squares: Path, cache: Path
) -> None:
    import_files([ROOT / "examples" / "own_network.py"])
    sections: dict[str, Any] = {
        "weights": "none",
        "space": {"learning_rate": [0.001, 0.003]},
        "training": {"architecture": "tinynet", "freeze_depth": 0, "epochs": 1},
    }
    run = small_search(tmp_path / "local", squares, cache, backend="local", **sections)
    assert list(run.trials["status"]) == ["completed", "completed"]
    whole = small_search(tmp_path / "inline", squares, cache, **sections)
    for number in (0, 1):
        assert run.records[number].epochs[1]["metrics"] == whole.records[number].epochs[1]["metrics"]
    session = processes._server.get()
    assert session is not None
    threads = Path("/proc", str(session._process.pid), "task")
    if threads.is_dir():
        assert {Path(thread, "comm").read_text().strip() for thread in threads.iterdir()} <= IMPORTING


def test_a_failed_import_of_a_worker_is_reported(server: Server) -> None:
    with server.fork() as worker:
        worker.send_bytes(b"")
        for _ in range(2):
            worker.send(None)
            assert worker.recv() == "ImportError: libfast.so.1: cannot open shared object file\n"


def test_workers_obey_the_driver_alone_and_do_not_outlive_it(server: Server) -> None:
    with server.fork() as worker:
        worker.send_bytes(b"")
        worker.send(None)
        worker.recv()
        main = psutil.Process(server._process.pid)
        [child] = main.children()
        for number in (signal.SIGINT, signal.SIGTERM):
            os.kill(child.pid, number)
        worker.send(None)
        assert worker.recv().startswith("ImportError")
        # As in the middle of a long epoch: it cannot see that the connection has ended.
        os.kill(child.pid, signal.SIGSTOP)
        server._control.close()
        assert not psutil.wait_procs([main, child], timeout=10)[1]


def test_a_server_that_was_killed_is_started_again(server: Server) -> None:
    server._process.kill()
    server._process.wait()
    with server.fork() as worker:
        worker.send_bytes(b"")
        worker.send(None)
        assert worker.recv().startswith("ImportError")


def test_timm_is_imported_before_workers_are_forked(server: Server, tmp_path: Path) -> None:
    place = tmp_path / "imported"
    (tmp_path / "timm.py").write_text(f"import os; open({str(place)!r}, 'a').write(f'{{os.getpid()}} ')")
    server.import_timm()
    server.import_timm()
    with server.fork() as worker:
        worker.send_bytes(b"")
        worker.send(None)
        worker.recv()
    assert place.read_text().split() == [str(server._process.pid)], "once"


@pytest.mark.parametrize(("platform", "name"), [("darwin", "macOS"), ("win32", "Windows"), ("freebsd14", "freebsd14")])
def test_local_workers_require_linux(platform: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", platform)
    check_backend("inline")
    with pytest.raises(ConfigError, match=rf"^--backend: local needs Linux.*, got {name}; use ray or inline$"):
        check_backend("local")
    with pytest.raises(ConfigError, match="needs Linux"), starting_ahead("local"):
        pass


def test_trials_on_a_gpu_are_left_to_ray() -> None:
    check_resources("local", ResourcesConfig(gpu=0))
    check_resources("ray", ResourcesConfig(gpu=0.5))
    with pytest.raises(
        ConfigError, match=r"resources.gpu: .*processors only, got 0.5; set it to 0, or .*--backend ray"
    ):
        check_resources("local", ResourcesConfig(gpu=0.5))
