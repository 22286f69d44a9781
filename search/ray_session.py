"""Ray itself: the settings it needs, its start and its end."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from search.resources import available

ENVIRONMENT = {
    # Workers stay in the driver's folder, so that relative paths mean the same everywhere.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # A trial without a GPU sees none.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",
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


def set_environment(concurrency: int) -> None:
    """Set what Ray reads from the environment when it is imported or started."""
    os.environ.update(ENVIRONMENT)
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
    there = available()
    ray.init(
        # Not the cluster that RAY_ADDRESS may name: one is joined where the user says so.
        address="local",
        num_cpus=there.cpus,
        num_gpus=there.gpus,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        # Not longer than a few seconds: a worker in mid-epoch does not listen, and dies with this process.
        thread = threading.Thread(target=ray.shutdown, daemon=True)
        thread.start()
        thread.join(SHUTDOWN_SECONDS)
