"""Filling a stored view together with the other nodes of a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np

from thaw.trainables.activations.store import StoredView, check_values
from thaw.trainables.exchange import Claim, Exchange

BLOCK = 128
"""Images in a block: fewer than where no node waits, as at the end all nodes wait for the last blocks."""

WAIT = 0.2
"""Seconds before asking again for rows that other nodes compute."""


class SharedView:
    """A view of this node's store whose missing rows are computed here or fetched from other nodes, equal to the bit.

    Args:
        stored: the view on this node.
        exchange: the other nodes.
        compute: image numbers → uint8 (len, row bytes).

    Attributes:
        slow: seconds for fetching and for computing one row, if fetching does not pay off; else None.
        error: why this node continues alone, or empty.
    """

    def __init__(self, stored: StoredView, exchange: Exchange, compute: Callable[[np.ndarray], np.ndarray]) -> None:
        self.stored, self.exchange, self.compute = stored, exchange, compute
        self.view = str(stored.path)
        self.slow: tuple[float, float] | None = None
        self.error = ""

    def fill(self, rows: np.ndarray) -> None:
        """Make all `rows` (image numbers) present.

        Raises:
            OSError: the disk is full.
        """
        found = self.stored.found(rows)
        if len(found):
            self._tell(lambda: self.exchange.hold(self.view, self.stored.images, found, None))
        self.stored.fill_from(rows, self._supply, BLOCK, WAIT)

    def _supply(self, rows: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield (rows, their data) for what there is now; the caller stores it before it asks for more."""
        images = self.stored.images
        try:
            claim = self.exchange.claim(self.view, images, rows)
        except ConnectionError as error:
            self.error, claim = str(error), Claim(rows)
        self.slow = claim.slow
        for node, held in claim.fetch.items():
            yield from self._fetch(node, held, claim.patience)
        if len(claim.compute):
            started = time.perf_counter()
            data = self.compute(claim.compute)
            seconds = time.perf_counter() - started
            yield claim.compute, data
            self._tell(lambda: self.exchange.hold(self.view, images, claim.compute, seconds))

    def _fetch(self, node: str, rows: np.ndarray, patience: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        stored, got, absent, started = self.stored, None, rows, time.perf_counter()
        try:
            got = self.exchange.fetch(node, self.view, stored.images, stored.row_bytes, rows, patience)
        except TimeoutError:
            pass  # counts as if the node did not hold them, so that they are computed rather than waited for again
        except ConnectionError:
            self._tell(lambda: self.exchange.lose(node))
            return
        seconds = time.perf_counter() - started
        if got is not None:
            whole = check_values(got.data) == got.checks
            absent = np.setdiff1d(rows, got.rows[whole])
            yield got.rows[whole], got.data[whole]
        self._tell(lambda: self.exchange.fetched(node, self.view, rows, absent, seconds))

    def _tell(self, message: Callable[[], None]) -> None:
        """Send a message; if it cannot be sent, nobody depends on it."""
        try:
            message()
        except ConnectionError as error:
            self.error = str(error)
