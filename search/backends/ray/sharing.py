"""Stored activations shared between the nodes of a cluster: an actor keeps the ledger, one on each node reads rows.

Rows stay in the files of the node that computed them, so the actors hold no data, and if a node dies, only what it had
computed is lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from thaw.trainables.activations.ledger import Ledger
from thaw.trainables.activations.store import StoredView
from thaw.trainables.exchange import Claim, Rows

if TYPE_CHECKING:
    from thaw.trainables.context import RunContext  # the actors need no torch

ANSWER_SECONDS = 60.0
"""Seconds in which the ledger must answer, its actor's start included."""

READS = 4
"""Fetches that a node answers at the same time."""


class Reader:
    """Reads rows of the views stored on its node."""

    def read(self, view: str, images: int, row_bytes: int, rows: np.ndarray) -> Rows:
        """Those of `rows` that are present; none if the view has been removed."""
        if not Path(view).exists():
            return Rows(rows[:0], np.empty((0, row_bytes), np.uint8), np.empty(0, np.uint64))
        return StoredView(Path(view), images, row_bytes).read(rows)


class RayLedger(Ledger):
    """A ledger that starts a reader on each node, also on one that joins later. The readers end with it.

    Args:
        nodes: those that are there when the session begins.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        super().__init__()
        self._readers: dict[str, Any] = {}
        for node in nodes:
            self.join(node)

    def join(self, node: str) -> None:
        """Start the reader of `node`, unless there is one."""
        if node not in self._readers:
            self._readers[node] = _on(node, Reader, max_concurrency=READS)

    def reader(self, node: str) -> Any:
        """Handle of the reader of `node`."""
        self.join(node)
        return self._readers[node]


class RayExchange:
    """The exchange of a session, see :class:`thaw.trainables.exchange.Exchange`; sent to each worker.

    Args:
        ledger: handle of the actor that keeps the ledger.
    """

    def __init__(self, ledger: Any) -> None:
        self.ledger = ledger
        self._readers: dict[str, Any] = {}
        self._failure = ""

    @cached_property
    def _node(self) -> str:
        node = str(ray.get_runtime_context().get_node_id())
        # Carried out before this worker's next request.
        self.ledger.join.remote(node)
        return node

    def claim(self, view: str, images: int, rows: np.ndarray) -> Claim:
        claim: Claim = self._ask("claim", self._node, view, images, rows)
        return claim

    def hold(self, view: str, images: int, rows: np.ndarray, seconds: float | None) -> None:
        self._ask("hold", self._node, view, images, rows, seconds)

    def fetch(self, node: str, view: str, images: int, row_bytes: int, rows: np.ndarray, patience: float) -> Rows:
        if node not in self._readers:
            self._readers[node] = self._ask("reader", node)
        try:
            got: Rows = ray.get(self._readers[node].read.remote(view, images, row_bytes, rows), timeout=patience)
        except ray.exceptions.GetTimeoutError:
            raise TimeoutError(f"{node} did not send within {patience:g} s") from None
        except Exception as error:
            raise ConnectionError(_reason(error)) from None
        return got

    def fetched(self, node: str, view: str, rows: np.ndarray, absent: np.ndarray, seconds: float) -> None:
        self._ask("fetched", node, view, rows, absent, seconds)

    def lose(self, node: str) -> None:
        self._ask("lose", node)

    def _ask(self, method: str, *values: Any) -> Any:
        if self._failure:
            raise ConnectionError(self._failure)
        try:
            return ray.get(getattr(self.ledger, method).remote(*values), timeout=ANSWER_SECONDS)
        except Exception as error:
            self._failure = f"the ledger does not answer ({_reason(error)})"
            raise ConnectionError(self._failure) from None


@contextmanager
def shared_between_nodes(context: RunContext) -> Iterator[RunContext]:
    """`context` with an exchange between the nodes that are there now, if it asks for one and there are several."""
    nodes = [node["NodeID"] for node in ray.nodes() if node["Alive"]]
    if not context.cache.shared or len(nodes) < 2:
        yield context
        return
    here = ray.get_runtime_context().get_node_id()
    ledger = _on(here, RayLedger, nodes)
    try:
        yield replace(context, cache=replace(context.cache, exchange=RayExchange(ledger)))
    finally:
        ray.kill(ledger)


def _on(node: str, kind: type, *arguments: Any, **options: Any) -> Any:
    """Start an actor that takes no processor on a node."""
    place = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(kind).options(num_cpus=0, scheduling_strategy=place, **options).remote(*arguments)


def _reason(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
