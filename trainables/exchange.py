"""How the nodes of a cluster share stored activations, so that each row is computed by only one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import numpy as np


@dataclass(frozen=True)
class Claim:
    """What a node should do about rows that it lacks. Rows that are in neither place are being computed elsewhere.

    Args:
        compute: image numbers of the rows to compute; nobody else computes them meanwhile.
        fetch: node → image numbers of the rows to fetch from it.
        patience: seconds that a fetch may take, after which computing the rows would have been faster.
        slow: seconds for fetching and for computing one row, if fetching does not pay off; else None.
    """

    compute: np.ndarray
    fetch: dict[str, np.ndarray] = field(default_factory=dict)
    patience: float = 0.0
    slow: tuple[float, float] | None = None


class Rows(NamedTuple):
    """Rows of a view, as stored.

    Args:
        rows: image numbers, (n,).
        data: uint8 (n, row bytes).
        checks: their check values, uint64 (n,).
    """

    rows: np.ndarray
    data: np.ndarray
    checks: np.ndarray


class Exchange(Protocol):
    """The other nodes, as a worker sees them. A view is named by the path of its file, the same on all nodes.

    Each method raises ConnectionError if the other side cannot be reached. Once the ledger could not be reached, it
    does so at once, as every epoch asks.
    """

    def claim(self, view: str, images: int, rows: np.ndarray) -> Claim:
        """Ask what to do about `rows`, which this node lacks, of a view of `images` rows."""

    def hold(self, view: str, images: int, rows: np.ndarray, seconds: float | None) -> None:
        """Say that this node holds `rows`, and how long it took to compute them, if it did."""

    def fetch(self, node: str, view: str, images: int, row_bytes: int, rows: np.ndarray, patience: float) -> Rows:
        """Those of `rows` that `node` holds.

        Raises:
            TimeoutError: it took longer than `patience` seconds.
        """

    def fetched(self, node: str, view: str, rows: np.ndarray, absent: np.ndarray, seconds: float) -> None:
        """Say how long it took to fetch `rows` from `node`, and which of them it does not hold after all."""

    def lose(self, node: str) -> None:
        """Say that `node` does not answer."""
