"""Trials in worker processes of this machine, without Ray."""

from __future__ import annotations

from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler

from thaw.analysis.run_folder import RunFolder
from thaw.search.backends.errors import error_line, settle_error
from thaw.search.backends.local.processes import Server, running_server
from thaw.search.engine.interruption import StopRequest
from thaw.search.engine.state import SearchState
from thaw.search.settings.schema import ResourcesConfig
from thaw.trainables.context import RunContext
from thaw.trainables.messages import Assignment, Report


class LocalBackend:
    """One worker process per slot, forked when it is first needed and reused for one trial after another.

    Args:
        resources: resources of one trial; its processors are torch's threads.
        folder: the run folder; nothing is kept in it.
        context: what all trials share; it is sent to each worker once.
    """

    def __init__(self, resources: ResourcesConfig, folder: RunFolder, context: RunContext) -> None:
        self.threads, self.context = resources.cpu, context

    def run(self, state: SearchState, slots: int, stop: StopRequest) -> None:
        needed = packed(self.context, self.threads)
        busy: dict[Connection, int] = {}
        idle: list[Connection] = []
        with running_server(slots) as server:
            while True:
                while len(busy) < slots and (assignment := state.propose()):
                    with stop.at_once():
                        worker = _idle(idle) or _new(server, needed)
                        _send(worker, assignment)
                    busy[worker] = assignment.trial
                if not busy:
                    return
                with stop.at_once():
                    ready = [worker for worker in wait(list(busy)) if isinstance(worker, Connection)]
                for worker in ready:
                    answer = _answer(worker)
                    if _settled(state, busy[worker], answer):
                        del busy[worker]
                        if answer is not None:
                            idle.append(worker)
                    else:
                        _send(worker, None)


def packed(context: RunContext, threads: int) -> bytes:
    """The arguments of a worker, with the user's own code by value."""
    if not context.networks and context.images.source is None:
        return bytes(ForkingPickler.dumps((context, threads)))
    # Only here, as Ray takes a second to import.
    from ray import cloudpickle

    from thaw.search.backends.ray.by_value import send_by_value

    send_by_value(context)
    code: bytes = cloudpickle.dumps((context, threads))
    return code


def _new(server: Server, needed: bytes) -> Connection:
    worker = server.fork()
    with suppress(ConnectionError):
        worker.send_bytes(needed)
    return worker


def _idle(workers: list[Connection]) -> Connection | None:
    """A worker that waits for a trial, if there is one."""
    while workers:
        worker = workers.pop()
        # An idle worker says nothing: what can be read is its end.
        if not worker.poll():
            return worker
    return None


def _send(worker: Connection, message: Assignment | None) -> None:
    # If it has died, its connection ends, too, which is seen where its answer is read.
    with suppress(ConnectionError):
        worker.send(message)


def _answer(worker: Connection) -> Report | str | None:
    """A worker's report, or the text of the exception that its trial raised; None if it has died."""
    try:
        answer: Report | str = worker.recv()
    except (EOFError, OSError):
        return None
    return answer


def _settled(state: SearchState, number: int, answer: Report | str | None) -> bool:
    """Record a worker's answer. Returns whether its trial leaves the slot."""
    if isinstance(answer, Report):
        return not state.report(number, answer)
    if answer is None:
        state.lose(number, "the worker process died")
    else:
        settle_error(state, number, error_line(answer.strip().splitlines()))
    return True
