"""Ray itself: the settings it needs, its start and its end."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from thaw.search.prepare.resources import this_machine

WORKER_ENVIRONMENT = {
    # Workers stay in the driver's folder, so that relative paths mean the same everywhere.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # A trial without a GPU sees none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
}
ENVIRONMENT = {
    **WORKER_ENVIRONMENT,
    # No status boxes of Ray's own, no log files a trial beside our event log, no snapshots that nobody restores.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",
    "TUNE_WARN_THRESHOLD_S": "3600",
    # The objective stands inside the row, where only Thaw looks for it.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Signals are ours, see signals.py.
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
}
SHUTDOWN_SECONDS = 3.0


def set_environment(concurrency: int, loopback: bool = True) -> None:
    """Set what Ray reads from the environment when it is imported or started.

    Args:
        concurrency: trials at once.
        loopback: a Ray that is started here listens on 127.0.0.1 alone; not for nodes of a cluster.
    """
    os.environ.update(ENVIRONMENT)
    if loopback and "ray" not in sys.modules:
        # Whatever its name says, this makes Ray take 127.0.0.1 for the node's address on every system. It is read by
        # the import; set later, it would be one thing in this process and another in those that Ray starts.
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    # As many workers as will be needed start at once instead of one after another.
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(concurrency)
    # A failed trial is told to the user in one line; Tune would add the whole traceback, twice.
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)


@contextmanager
def running_ray() -> Iterator[None]:
    """Ray for the length of a search; one that the caller has started already is used and left running."""
    import ray

    if ray.is_initialized():
        yield
        return
    here = this_machine()
    ray.init(
        # Not the cluster that RAY_ADDRESS may name: one is joined where the user says so.
        address="local",
        num_cpus=here.cpus,
        num_gpus=here.gpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        shut_down()


def shut_down() -> None:
    """Leave or end Ray within a few seconds: a worker in mid-epoch does not listen, and dies with this process."""
    import ray

    thread = threading.Thread(target=ray.shutdown, daemon=True)
    thread.start()
    thread.join(SHUTDOWN_SECONDS)
