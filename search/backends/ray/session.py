"""Ray itself: its settings, its start and its shutdown."""

from __future__ import annotations

import logging
import os
import site
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING, Any

import thaw
from thaw.search.backends.errors import last_line
from thaw.search.prepare.resources import this_machine
from thaw.spaces import ConfigError

if TYPE_CHECKING:
    from ray.job_config import JobConfig

WORKER_ENVIRONMENT = {
    # Workers stay in the driver's folder, so that relative paths mean the same everywhere.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # A trial without a GPU sees none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}
ENVIRONMENT = {
    **WORKER_ENVIRONMENT,
    # No status boxes from Ray, no log files per trial besides our event log, no snapshots that nobody restores.
    "RAY_AIR_NEW_OUTPUT": "0",
    # No workers ahead of the first trials: Tune gives its trials an environment, and Ray starts new workers for it.
    "RAY_prestart_worker_first_driver": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_WARN_THRESHOLD_S": "3600",
    # The objective is inside the row, where only Thaw looks for it.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Thaw handles signals itself, see signals.py.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
START_SECONDS, SHUTDOWN_SECONDS = 30.0, 3.0
"""How long a process waits, at most, at its end for Ray to finish starting or ending."""

LONGEST_PLACE = 37
"""The maximum bytes in the path of Ray's session folder: a socket's path has at most 103 (107 on Linux), and Ray adds
66, such as ``/session_2026-01-01_00-00-00_000000_1234567/sockets/plasma_store.1``."""
PLACES = ("/tmp", "/var/tmp", "/dev/shm")
"""Short folders for Ray's sessions if the path of the usual temporary folder is too long."""


def set_environment(concurrency: int, loopback: bool = True) -> None:
    """Set the environment variables that Ray reads when it is imported or started.

    Args:
        concurrency: number of concurrent trials.
        loopback: a Ray started here listens only on 127.0.0.1; not for nodes of a cluster.
    """
    os.environ.update(ENVIRONMENT)
    ray = sys.modules.get("ray")
    if loopback and not (ray and ray.is_initialized()):
        # Despite its name, this makes Ray use 127.0.0.1 as the node's address on every system.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
        if ray:
            # Its import has read the variable already: a notebook's Ray would open its ports to the network.
            ray._private.ray_constants.ENABLE_RAY_CLUSTER = False
    # As many workers as will be needed start at once instead of one after another.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(concurrency)
    # A failed trial is shown to the user in one line; Tune would add the whole traceback, twice.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


class OwnRay(threading.Thread):
    """Ray on this machine alone, from its start to its end in one thread.

    The kernel ends Ray's processes with the thread that has started them, so that none outlives a killed search.
    """

    def __init__(self) -> None:
        super().__init__(name="thaw-ray", daemon=True)
        self._ready, self._over = threading.Event(), threading.Event()
        self._error: ConfigError | None = None

    def run(self) -> None:
        try:
            self._init()
        except ConfigError as error:
            self._error = error
        except Exception as error:
            advice = "--backend inline trains in this process instead"
            self._error = ConfigError(f"Ray does not start here: {last_line(error)}; {advice}", "--backend")
        self._ready.set()
        self._over.wait()
        if self._error is None:
            import ray

            ray.shutdown()

    def _init(self) -> None:
        import ray

        here = this_machine()
        ray.init(
            # Not the cluster that RAY_ADDRESS may name: one is joined where the user says so.
            address="local",
            job_config=job(),
            _temp_dir=session_place(),
            num_cpus=here.cpus,
            num_gpus=here.gpus,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )

    def wait(self) -> None:
        """Until Ray runs.

        Raises:
            ConfigError: it does not start.
        """
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """End Ray within a few seconds: a worker in mid-epoch does not listen, and dies with this process."""
        self._over.set()
        # A process that is just being started does not yet end with its parent.
        self._ready.wait(START_SECONDS)
        self.join(SHUTDOWN_SECONDS)


_own: OwnRay | None = None
"""The Ray of this process, from the beginning of its start; None where there is none, or where it is not ours."""


@contextmanager
def starting_ray() -> Iterator[Callable[[int], None]]:
    """A context in which Ray may be started ahead of :func:`running_ray`, which waits for it; at its end Ray is gone.

    The yielded function starts it, for a number of concurrent trials, and returns at once. It does nothing if this
    process has a Ray already.
    """
    global _own
    before = _own

    def begin(workers: int) -> None:
        global _own
        set_environment(workers)
        ray = sys.modules.get("ray")
        if _own is None and not (ray and ray.is_initialized()):
            _own = OwnRay()
            _own.start()

    try:
        yield begin
    finally:
        if _own is not before:
            assert _own is not None
            _own.end()
            _own = before


@contextmanager
def running_ray(workers: int) -> Iterator[None]:
    """Ray for the duration of a search; one that the caller has started already is used and left running.

    Args:
        workers: as many are going to run trials.

    Raises:
        ConfigError: it does not start.
    """
    with starting_ray() as begin:
        begin(workers)
        if _own is not None:
            _own.wait()
        else:
            import ray

            warn_of_open_ports(ray)
        yield


def warn_of_open_ports(ray: Any) -> None:
    """A Ray started by this process, unlike a cluster that it has joined, is meant for this machine only."""
    node = ray._private.worker.global_worker.node
    if node.head and not ip_address(node.node_ip_address).is_loopback:
        warnings.warn(
            f"Ray was started before the search and listens on {node.node_ip_address}, so other machines reach its "
            "ports; call ray.shutdown() first, and the search starts one on 127.0.0.1",
            stacklevel=2,
        )


def session_place() -> str:
    """The folder for the files of Ray's sessions: Ray's own choice if its path is short enough for sockets.

    Raises:
        ConfigError: no folder with a short path is writable.
    """
    usual = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or PLACES[0]
    for place in (os.path.abspath(usual), *PLACES):
        folder = os.path.join(place, "ray")
        nearest = folder if os.path.isdir(folder) else place
        if len(os.fsencode(folder)) <= LONGEST_PLACE and os.access(nearest, os.W_OK | os.X_OK):
            return folder
    raise ConfigError(
        f"Ray needs a folder for temporary files that can be written to and whose path has at most "
        f"{LONGEST_PLACE - len('/ray')} bytes, got {usual}; set TMPDIR to one",
        "TMPDIR",
    )


def job(**options: Any) -> JobConfig:
    """Ray's job configuration for this process, with JobConfig's `options`: mainly, where workers look for modules.

    Ray puts the current folder and the script's folder first on the workers' path. A user's ``random.py`` or
    ``torch.py`` there would run in each worker. This configuration leaves both out. Only a clone of Thaw that is not
    installed is added, as workers would not find it otherwise.
    """
    from ray.job_config import JobConfig

    class OwnPath(JobConfig):
        def _runtime_env_has_working_dir(self) -> bool:
            # If the job has its own folder, Ray adds neither of the two.
            return True

    clone = [] if _is_found_by_workers() else [str(Path(thaw.__file__).parent.parent)]
    return OwnPath(_py_driver_sys_path=clone, **options)


def _is_found_by_workers() -> bool:
    """Whether a new Python process with the same environment imports the same `thaw`."""
    given = os.environ.get("PYTHONPATH")
    path = [*(given.split(os.pathsep) if given else ()), *site.getsitepackages(), site.getusersitepackages()]
    # In the order in which Python asks them; editable installs have their own finders.
    specs = (finder.find_spec("thaw", path if finder is PathFinder else None) for finder in sys.meta_path)
    found = next(filter(None, specs), None)
    return bool(found and found.origin and os.path.realpath(found.origin) == os.path.realpath(thaw.__file__))


def shut_down() -> None:
    """Leave or stop Ray within a few seconds: a worker in mid-epoch does not respond, and dies with this process."""
    import ray

    thread = threading.Thread(target=ray.shutdown, daemon=True)
    thread.start()
    thread.join(SHUTDOWN_SECONDS)
