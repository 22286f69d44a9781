"""Activations on disk: one file per view, one row per image, written by the process that computes it first."""

from __future__ import annotations

import fcntl
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from thaw.trainables.exchange import Rows

BLOCK = 512
"""Images in a block, which one process computes while others compute other blocks; many chunks of the prefix."""

WAIT = 0.02
_PRESENT = 1 << 32

Supply = Callable[[np.ndarray], Iterable[tuple[np.ndarray, np.ndarray]]]


class StoredView:
    """Rows of equal size, one per image, any of which may be missing.

    A second file holds a check value for each row: 0 while the row is missing, else its CRC-32 and a presence bit. A
    row counts as present if its check value matches, which each process verifies once. Rows that a crash or a bad disk
    has damaged are computed again.

    Args:
        path: file of the rows; the files of check values and locks are next to it.
        images: number of rows.
        row_bytes: size of one row in bytes.

    Raises:
        OSError: the files cannot be created or opened.
    """

    def __init__(self, path: Path, images: int, row_bytes: int) -> None:
        self.path, self.images, self.row_bytes = path, images, row_bytes
        self._rows = _open(path, images * row_bytes)
        self._checks = _open(path.with_suffix(".checks"), images * 8)
        self._locks = _open(path.with_suffix(".lock"), 0)
        self._checked = np.memmap(path.with_suffix(".checks"), np.uint64, mode="r", shape=(images,))
        self.data = np.memmap(path, np.uint8, mode="r", shape=(images, row_bytes))
        self._verified = np.zeros(images, bool)

    def __del__(self) -> None:
        for name in ("_rows", "_checks", "_locks"):
            if hasattr(self, name):
                os.close(getattr(self, name))

    def missing(self, rows: np.ndarray) -> np.ndarray:
        """The subset of `rows` that have yet to be computed."""
        self.found(rows)
        return rows[~self._verified[rows]]

    def found(self, rows: np.ndarray) -> np.ndarray:
        """Those of `rows` that are seen to be present for the first time in this process, and not written by it."""
        fresh = rows[~self._verified[rows]]
        for row in fresh[self._checked[fresh] != 0]:
            if int(self._checked[row]) == _PRESENT | zlib.crc32(self.data[row]):
                self._verified[row] = True
            else:
                os.pwrite(self._checks, bytes(8), int(row) * 8)
        return fresh[self._verified[fresh]]

    def read(self, rows: np.ndarray) -> Rows:
        """Those of `rows` that are present."""
        present = np.setdiff1d(rows, self.missing(rows))
        data = self.data[present]
        return Rows(present, data, check_values(data))

    def write(self, rows: np.ndarray, data: np.ndarray) -> None:
        """Write uint8 (len(rows), row_bytes): first the rows, then the check values that mark them as present.

        Raises:
            OSError: the disk is full.
        """
        for row, content, check in zip(rows.tolist(), data, check_values(data), strict=True):
            _write_all(self._rows, content.tobytes(), row * self.row_bytes)
            _write_all(self._checks, check.tobytes(), row * 8)
        self._verified[rows] = True

    def fill(self, rows: np.ndarray, compute: Callable[[np.ndarray], np.ndarray]) -> None:
        """Make all `rows` present: compute the missing ones, sharing the work with other processes that need them.

        Each process claims blocks of rows that no other process is computing, and at the end waits for the blocks of
        the others. The kernel releases the lock of a process that dies, so that another takes over its block.

        Args:
            rows: image numbers.
            compute: image numbers → uint8 (len, row_bytes).
        """
        self.fill_from(rows, lambda todo: [(todo, compute(todo))])

    def fill_from(self, rows: np.ndarray, supply: Supply, block: int = BLOCK, wait: float = WAIT) -> None:
        """As :meth:`fill`, where not all rows need to be there at once.

        Args:
            rows: image numbers.
            supply: missing rows of one block → parts of them, with their data. It is asked again for what it omits.
            block: images in a block.
            wait: seconds before `supply` is asked again.
        """
        pending = dict(enumerate(np.array_split(rows, max(1, -(-len(rows) // block)))))
        while pending:
            waiting = len(pending)
            for number in list(pending):
                if not len(self.missing(pending[number])):
                    del pending[number]
                    continue
                with self._claim(number) as claimed:
                    if claimed:
                        todo = self.missing(pending[number])
                        for part, data in supply(todo) if len(todo) else ():
                            self.write(part, data)
                        if not len(self.missing(todo)):
                            del pending[number]
            if len(pending) == waiting:
                time.sleep(wait)

    @contextmanager
    def _claim(self, block: int) -> Iterator[bool]:
        """Try to lock a block, which is one byte of the lock file; yields whether this process may compute it."""
        try:
            fcntl.lockf(self._locks, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, block)
        except (BlockingIOError, PermissionError):
            yield False
            return
        try:
            yield True
        finally:
            fcntl.lockf(self._locks, fcntl.LOCK_UN, 1, block)


def check_values(data: np.ndarray) -> np.ndarray:
    """The check value of each row: uint64 (len,)."""
    return np.array([_PRESENT | zlib.crc32(row) for row in data], np.uint64)


def _open(path: Path, size: int) -> int:
    """Open a file, sparsely extended to at least `size` bytes, and created if needed. Returns its descriptor."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    if os.fstat(descriptor).st_size < size:
        os.truncate(descriptor, size)
    return descriptor


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    # Written, not memory-mapped: a full disk then raises an error that can be handled, and does not kill the process.
    while data:
        written = os.pwrite(descriptor, data, offset)
        data, offset = data[written:], offset + written
