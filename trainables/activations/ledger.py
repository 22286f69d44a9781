"""Which node holds which stored rows, and which one computes the others: one ledger for a cluster."""

from __future__ import annotations

import time
from collections import defaultdict, deque
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np

from thaw.trainables.exchange import Claim

NOBODY = 0

UNKNOWN = 20.0
"""Seconds that rows may take as long as no node has computed any for that key."""

LEAST = 5.0
"""Fewest seconds that rows are given: with less, a busy moment would look like a lost node or a slow network."""

LATE = 3.0
"""A lease ends after this many times the usual time. The node that waits then computes the rows: it is idle anyway,
and a row that is computed twice is the same twice."""

FETCHES = 3
"""Fetches from a node before it is judged."""


class Lease(NamedTuple):
    """A node's right to compute `rows` alone, since a time of the clock."""

    node: int
    rows: np.ndarray
    since: float


class Ledger:
    """Leases rows to the nodes that compute them, and remembers who holds them.

    The ledger is only advice: each node checks and stores what it gets, and computes everything itself without it. So a
    node may die at any moment. Its leases expire, and what it held is forgotten once it does not answer.

    Rows are fetched as long as that is faster than computing them: the median of the last times per row is compared,
    separately for each key (network and depth), as rows differ in size and cost. It is compared for each
    node that sends, too: one that is silent or busy is left out, and the others continue with each other.

    Args:
        clock: time in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._nodes = [""]
        self._holders: dict[str, np.ndarray] = {}
        self._leases: dict[str, list[Lease]] = defaultdict(list)
        self._computing: dict[Path, deque[float]] = defaultdict(lambda: deque(maxlen=15))
        self._fetching: dict[Path, dict[int, deque[float]]] = defaultdict(lambda: defaultdict(lambda: deque(maxlen=15)))
        self._slow: dict[Path, set[int]] = defaultdict(set)
        self._verdicts: dict[Path, tuple[float, float]] = {}

    def claim(self, node: str, view: str, images: int, rows: np.ndarray) -> Claim:
        """What `node` should do about `rows` (ascending), which it lacks; see :class:`Exchange`."""
        me, holders, key = self._number(node), self._holders_of(view, images), Path(view).parent
        # It held them, and asks: they were damaged or removed.
        holders[rows[holders[rows] == me]] = NOBODY
        now = self._clock()
        leases = [
            lease
            for lease in self._leases[view]
            if lease.node not in self._slow[key] and not self._has_ended(lease, key, now)
        ]
        # Within a node a file lock decides, so what it asks for nobody else there computes any more.
        leases = [lease for lease in leases if lease.node != me or not np.isin(lease.rows, rows).any()]
        held = holders[rows]
        if self._must_measure(key, leases):
            compute, fetch = rows, {}
        else:
            leased = np.concatenate([rows[:0], *(lease.rows for lease in leases)])
            compute = rows[(held == NOBODY) & ~np.isin(rows, leased)]
            fetch = {self._nodes[n]: rows[held == n] for n in np.unique(held[held != NOBODY])}
        self._leases[view] = [*leases, *([Lease(me, compute, now)] if len(compute) else [])]
        return Claim(compute, fetch, self._usual_time(key, len(rows)), self._verdict(key))

    def hold(self, node: str, view: str, images: int, rows: np.ndarray, seconds: float | None) -> None:
        """Note that `node` holds `rows`, and computed them in `seconds`."""
        me, holders = self._number(node), self._holders_of(view, images)
        if me not in self._slow[Path(view).parent]:
            holders[rows[holders[rows] == NOBODY]] = me
        if seconds is not None:
            self._computing[Path(view).parent].append(seconds / len(rows))
            self._leases[view] = [
                lease for lease in self._leases[view] if lease.node != me or not np.isin(lease.rows, rows).all()
            ]

    def fetched(self, node: str, view: str, rows: np.ndarray, absent: np.ndarray, seconds: float) -> None:
        """Note what a fetch from `node` took, and that it does not hold the rows in `absent`."""
        sender, key, holders = self._number(node), Path(view).parent, self._holders[view]
        holders[absent[holders[absent] == sender]] = NOBODY
        times, computing = self._fetching[key][sender], self._computing[key]
        times.append(seconds / len(rows))
        if len(times) >= FETCHES and computing and median(times) > median(computing):
            self._slow[key].add(sender)
            for other, holders in self._holders.items():
                if Path(other).parent == key:
                    holders[holders == sender] = NOBODY

    def lose(self, node: str) -> None:
        """Forget a node that does not answer: others compute what it held and what it was computing."""
        gone = self._number(node)
        for holders in self._holders.values():
            holders[holders == gone] = NOBODY
        for view, leases in self._leases.items():
            self._leases[view] = [lease for lease in leases if lease.node != gone]

    def _number(self, node: str) -> int:
        if node not in self._nodes:
            self._nodes.append(node)
        return self._nodes.index(node)

    def _holders_of(self, view: str, images: int) -> np.ndarray:
        """Number of the node that holds each row, first come."""
        return self._holders.setdefault(view, np.zeros(images, np.int16))

    def _usual_time(self, key: Path, rows: int) -> float:
        """Seconds that computing so many rows may take."""
        times = self._computing[key]
        return max(LEAST, rows * median(times)) if times else UNKNOWN

    def _has_ended(self, lease: Lease, key: Path, now: float) -> bool:
        return now - lease.since > LATE * self._usual_time(key, len(lease.rows))

    def _must_measure(self, key: Path, leases: list[Lease]) -> bool:
        """Whether rows should be computed that could be fetched, as nobody knows what computing takes."""
        return bool(self._fetching[key]) and not self._computing[key] and not leases

    def _verdict(self, key: Path) -> tuple[float, float] | None:
        """Seconds for fetching a row, from the fastest node, and for computing it, if all that sent are too slow."""
        senders = self._fetching[key]
        if not senders or senders.keys() - self._slow[key]:
            return None
        fastest = min(median(times) for times in senders.values())
        # Kept, so that all say the same sentence.
        return self._verdicts.setdefault(key, (fastest, median(self._computing[key])))
