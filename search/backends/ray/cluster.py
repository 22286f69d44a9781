"""Joins a Ray cluster from one of its nodes, and sends it our code."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import thaw
from thaw.search.backends.ray.session import WORKER_ENVIRONMENT, job, set_environment, shut_down
from thaw.spaces import ConfigError


@contextmanager
def joined(address: str | None) -> Iterator[None]:
    """Join the Ray cluster at `address`, which a search within this context uses; None joins nothing.

    Our packages are sent to the nodes; torch and the other requirements must be installed there.

    Args:
        address: ``auto`` on a node of the cluster, or ``HOST:PORT`` of its head; this machine must be one of its nodes.

    Raises:
        ConfigError: the address has another form, or there is no cluster to join.
    """
    if address is None:
        yield
        return
    if address.startswith("ray://"):
        raise ConfigError(
            f"a search runs on a node of the cluster, not through Ray Client, got {address}; submit it from outside: "
            "ray job submit --address http://HEAD:8265 -- thaw search FILE --address auto",
            "--address",
        )
    if not re.fullmatch(r"auto|[^/\s]+:\d+", address):
        raise ConfigError(f"must be auto or HOST:PORT of the cluster's head, got {address!r}", "--address")
    # Until the number of trials is known.
    set_environment(concurrency=1, loopback=False)
    import ray

    try:
        ray.init(
            address=address,
            job_config=job(),
            runtime_env={"py_modules": [str(Path(thaw.__file__).parent)], "env_vars": WORKER_ENVIRONMENT},
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        reason = str(error).strip().splitlines()[0]
        fix = "start the cluster, and this command on one of its nodes with the cluster's token"
        raise ConfigError(f"cannot join a Ray cluster at {address}: {reason}; {fix}", "--address") from None
    try:
        yield
    finally:
        shut_down()
