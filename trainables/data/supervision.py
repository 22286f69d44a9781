"""Work on files that may hang: threads that are watched, and left behind when they take too long."""

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
    """What the supervisor knows of one thread: the item it is at, since when, and whether it was given up."""

    item: int | None = None
    since: float = field(default_factory=time.monotonic)
    given_up: bool = False


def supervised(work: Callable[[int], Any], count: int, workers: int, timeout: float) -> Iterator[tuple[int, Any]]:
    """``(i, work(i))`` for i below `count`, as they are done; a :class:`Rejected` is a result, too.

    Threads serve, as Pillow releases the interpreter while it decodes; a thread that hangs in a read cannot be stopped,
    so it is replaced by another. They are daemons: none keeps the process from ending.
    """
    items, lock, stop = iter(range(count)), threading.Lock(), threading.Event()
    results: queue.Queue[tuple[int, Any]] = queue.Queue(maxsize=64)

    def run(me: _Worker) -> None:
        while not stop.is_set():
            with lock:
                item = next(items, None)
                me.item, me.since = item, time.monotonic()
            if item is None:
                return
            result: Any
            try:
                result = work(item)
            except BaseException as error:  # handed to the supervisor, who raises it
                result = error
            with lock:
                me.item = None
                if me.given_up:
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

    crew = [start() for _ in range(max(1, min(workers, count)))]
    tick, checked, done = min(0.25, timeout / 4), time.monotonic(), 0
    try:
        while done < count:
            ready: list[tuple[int, Any]] = []
            with contextlib.suppress(queue.Empty):
                ready.append(results.get(timeout=tick))
            if time.monotonic() - checked > tick:
                checked = time.monotonic()
                for place, worker in enumerate(crew):
                    with lock:
                        item = worker.item
                        worker.given_up = item is not None and checked - worker.since > timeout
                    if worker.given_up and item is not None:
                        ready.append((item, Rejected(f"reading took longer than {timeout:g} s", passing=True)))
                        crew[place] = start()
            for item, result in ready:
                if isinstance(result, BaseException) and not isinstance(result, Rejected):
                    raise result
                done += 1
                yield item, result
    finally:
        stop.set()
