"""The process that workers are forked from, and what a worker does. Standard library only, until trials are imported.

Between the driver and the server is one socket. Each message of the driver with a file descriptor asks for a worker,
which gets this end of a connection; ``t`` imports timm; another message without a descriptor ends all workers; the end
of the socket ends the server, too.
So however the driver ends, no worker outlives it.

Between the driver and a worker, after the pickled arguments of a
:class:`~thaw.trainables.training.worker.Worker`:

==============  =======================================================================================
from driver     an Assignment: begin this trial, and train it for one epoch; None: one epoch more of it
from worker     the Report of that epoch, or the text of the exception that ended the trial
==============  =======================================================================================
"""

from __future__ import annotations

import gc
import os
import signal
import socket
import traceback
from contextlib import suppress
from importlib import import_module
from multiprocessing.connection import Connection
from multiprocessing.reduction import ForkingPickler
from typing import Any

TRAINING = "thaw.trainables.training.worker"
PRELOADED = (
    TRAINING,
    "thaw.analysis.run_folder",
    # Optimisers import it when the first one is made.
    "torch._dynamo",
)
"""What a worker needs, which takes seconds to import. None of it starts threads: a fork would not have them."""


def serve(control: int) -> None:
    """Import what trials need, and fork workers until the driver is gone. Does not return.

    Args:
        control: file descriptor of the socket to the driver.
    """
    # The driver decides about workers; it may end them together with this process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    requests = socket.socket(fileno=control)
    # What imports make stays: looking for cycles among it takes a fifth of their time. Workers switch it on again.
    gc.disable()
    _preload(*PRELOADED)
    # Until here, a signal ended this process at once: it had no workers.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    workers: list[int] = []
    while True:
        message, descriptors, _, _ = socket.recv_fds(requests, 1, 1)
        if descriptors:
            workers.append(_fork(requests, descriptors[0]))
            continue
        if message == b"t":
            _preload("timm")
            continue
        # Dead ones, too, keep their process ids until they are waited for here.
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        for worker in workers:
            os.waitpid(worker, 0)
        workers.clear()
        if not message:
            os._exit(0)


def _preload(*modules: str) -> None:
    for module in modules:
        # A worker imports it again, and reports the error as that of its trial.
        with suppress(Exception):
            import_module(module)
    # Workers share these pages as long as the collector does not write to each object.
    gc.freeze()


def _fork(requests: socket.socket, descriptor: int) -> int:
    """The process id of a new worker."""
    worker = os.fork()
    if worker:
        os.close(descriptor)
        return worker
    try:
        requests.close()
        gc.enable()
        _work(Connection(descriptor))
    finally:
        # Whatever happened, a worker must not continue as a server.
        os._exit(0)


def _work(driver: Connection) -> None:
    """Train what is assigned, until the driver is gone."""
    needed = driver.recv_bytes()
    worker: Any = None
    while True:
        assignment = driver.recv()
        try:
            if worker is None:
                worker = import_module(TRAINING).Worker(*ForkingPickler.loads(needed))
            if assignment is not None:
                worker.begin(assignment)
            answer = worker.step()
        except Exception as error:
            answer = "".join(traceback.format_exception_only(error))
        driver.send(answer)
