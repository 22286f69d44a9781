"""The driver's side of the server: its start, new workers, its end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from multiprocessing.connection import Connection

import thaw

BOOT = """
import sys
from importlib import util

spec = util.spec_from_file_location("thaw", sys.argv[1])
sys.modules["thaw"] = util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["thaw"])

from thaw.search.backends.local.server import serve

serve(int(sys.argv[2]))
"""
"""What the server runs: this copy of Thaw, wherever it is, and nothing else of the driver's."""


class Server:
    """A process that imports what trials need, and forks workers.

    Neither the main module nor anything from the current folder is imported, whatever its name. Its workers' output
    goes nowhere, as their errors are reported.
    """

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        self._control, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                # Without the current folder on the path, where a file of the user might stand in for a module.
                [sys.executable, "-P", "-c", BOOT, thaw.__file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                # Libraries start no threads when they are imported; a trial sets its own number.
                env={**os.environ, "OMP_NUM_THREADS": "1"},
                # The terminal's Ctrl-C is the driver's.
                start_new_session=True,
            )

    def fork(self) -> Connection:
        """A connection to a new worker, which may still have to be made."""
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(self._control, [b"f"], [theirs.fileno()])
            except ConnectionError:
                # Somebody has killed it.
                self.end()
                self._start()
                socket.send_fds(self._control, [b"f"], [theirs.fileno()])
        return Connection(ours.detach())

    def import_timm(self) -> None:
        """Import timm before further workers are forked, which would each take half a second for it."""
        with suppress(ConnectionError):
            self._control.send(b"t")

    def end_workers(self) -> None:
        """Kill all workers, also in the middle of an epoch."""
        with suppress(ConnectionError):
            self._control.send(b"e")

    def end(self) -> None:
        """Kill all workers and the server."""
        self._control.close()
        # It heeds this while it imports.
        self._process.terminate()
        self._process.wait()


_server: ContextVar[Server | None] = ContextVar("server", default=None)


@contextmanager
def starting_server() -> Iterator[Callable[[int], None]]:
    """A context in which the server may be started ahead of :func:`running_server`; at its end the server is gone.

    The yielded function starts it, whatever the number of concurrent trials, and returns at once. Called again after
    the networks have been checked, it has timm imported as well if one of them is timm's.
    """
    outer = _server.get()

    def begin(slots: int) -> None:
        server = _server.get()
        if server is None:
            server = Server()
            _server.set(server)
        if "timm" in sys.modules:
            server.import_timm()

    try:
        yield begin
    finally:
        server = _server.get()
        if server is not None and server is not outer:
            server.end()
        _server.set(outer)


@contextmanager
def running_server(slots: int) -> Iterator[Server]:
    """The server for the duration of a search; at its end no worker is left."""
    with starting_server() as begin:
        begin(slots)
        server = _server.get()
        assert server is not None
        try:
            yield server
        finally:
            server.end_workers()
