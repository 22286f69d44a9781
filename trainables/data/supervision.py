"""Runs work on files that may hang in threads, and abandons a thread that takes too long."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from thaw.trainables.data.decoding import Rejected


@dataclass
class _Worker:
    """State of one thread: its current item, when it started that item, and whether it was abandoned."""

    item: int | None = None
    since: float = field(default_factory=time.monotonic)
    abandoned: bool = False


def supervised(work: Callable[[int], Any], count: int, workers: int, timeout: float) -> Iterator[tuple[int, Any]]:
    """Yields ``(i, work(i))`` for i below `count` in order of completion. A raised :class:`Rejected` is a result, too.

    Threads suffice, as Pillow releases the GIL while decoding. A thread that hangs in a read cannot be stopped, so it
    is replaced by another. All are daemon threads: none keeps the process from exiting.

    Args:
        work: called with each number.
        count: number of items.
        workers: number of threads.
        timeout: seconds for one item; after that the item is rejected.
    """
    items, lock, stop = iter(range(count)), threading.Lock(), threading.Event()
    results: queue.Queue[tuple[int, Any]] = queue.Queue(maxsize=64)

    def run(worker: _Worker) -> None:
        while not stop.is_set():
            with lock:
                item = next(items, None)
                worker.item, worker.since = item, time.monotonic()
            if item is None:
                return
            result: Any
            try:
                result = work(item)
            except BaseException as error:  # raised by the supervisor
                result = error
            with lock:
                worker.item = None
                if worker.abandoned:
                    return
            while not stop.is_set():
                try:
                    results.put((item, result), timeout=1)
                    break
                except queue.Full:
                    continue

    def start() -> _Worker:
        worker = _Worker()
        threading.Thread(target=run, args=(worker,), daemon=True, name="thaw-images").start()
        return worker

    threads = [start() for _ in range(max(1, min(workers, count)))]
    tick, checked, done = min(0.25, timeout / 4), time.monotonic(), 0
    try:
        while done < count:
            ready: list[tuple[int, Any]] = []
            with contextlib.suppress(queue.Empty):
                ready.append(results.get(timeout=tick))
            if time.monotonic() - checked > tick:
                checked = time.monotonic()
                for i, worker in enumerate(threads):
                    with lock:
                        item = worker.item
                        worker.abandoned = item is not None and checked - worker.since > timeout
                    if worker.abandoned and item is not None:
                        ready.append((item, Rejected(f"reading took longer than {timeout:g} s", temporary=True)))
                        threads[i] = start()
            for item, result in ready:
                if isinstance(result, BaseException) and not isinstance(result, Rejected):
                    raise result
                done += 1
                yield item, result
    finally:
        stop.set()
