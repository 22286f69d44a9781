"""Views shared between nodes: each row is computed once and bit-identical, whatever fails."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from thaw.trainables.activations.ledger import FETCHES, LATE, LEAST, UNKNOWN, Ledger
from thaw.trainables.activations.shared import SharedView
from thaw.trainables.activations.store import StoredView
from thaw.trainables.exchange import Claim, Rows

IMAGES, ROW = 2000, 8
ALL = np.arange(IMAGES)


def content(rows: np.ndarray) -> np.ndarray:
    return (1 + rows[:, None] * np.arange(1, ROW + 1) % 251).astype(np.uint8)


class Cluster:
    """Nodes in threads of this process, each with a store of its own, around one ledger."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.ledger, self.lock = folder, Ledger(), threading.Lock()
        self.dead: set[str] = set()

    def store(self, node: str) -> StoredView:
        (self.folder / node).mkdir(exist_ok=True)
        return StoredView(self.folder / node / "clean.rows", IMAGES, ROW)


class Node:
    """An exchange as the worker of one node sees it."""

    def __init__(self, cluster: Cluster, name: str) -> None:
        self.cluster, self.name, self.stored = cluster, name, cluster.store(name)
        self.computed: list[int] = []
        self.damage: Callable[[Rows], Rows] = lambda got: got

    def compute(self, rows: np.ndarray) -> np.ndarray:
        self.computed.extend(rows.tolist())
        time.sleep(0.05)
        return content(rows)

    def fill(self, rows: np.ndarray = ALL) -> SharedView:
        shared = SharedView(self.stored, self, self.compute)
        shared.view = "key/clean.rows"  # the same path on each node
        shared.fill(rows)
        assert np.array_equal(self.stored.data[rows], content(rows))
        return shared

    def claim(self, view: str, images: int, rows: np.ndarray) -> Claim:
        with self.cluster.lock:
            return self.cluster.ledger.claim(self.name, view, images, rows)

    def hold(self, view: str, images: int, rows: np.ndarray, seconds: float | None) -> None:
        with self.cluster.lock:
            self.cluster.ledger.hold(self.name, view, images, rows, seconds)

    def fetch(self, node: str, view: str, images: int, row_bytes: int, rows: np.ndarray, patience: float) -> Rows:
        if node in self.cluster.dead:
            raise ConnectionError("no route")
        return self.damage(self.cluster.store(node).read(rows))

    def fetched(self, node: str, view: str, rows: np.ndarray, absent: np.ndarray, seconds: float) -> None:
        with self.cluster.lock:
            self.cluster.ledger.fetched(node, view, rows, absent, seconds)

    def lose(self, node: str) -> None:
        with self.cluster.lock:
            self.cluster.ledger.lose(node)


@pytest.fixture
def nodes(tmp_path: Path) -> list[Node]:
    cluster = Cluster(tmp_path)
    return [Node(cluster, name) for name in "abc"]


def test_each_row_is_computed_once_in_a_cluster(nodes: list[Node]) -> None:
    threads = [threading.Thread(target=node.fill) for node in nodes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(row for node in nodes for row in node.computed) == list(ALL)
    assert all(np.array_equal(node.stored.data, content(ALL)) and not len(node.stored.missing(ALL)) for node in nodes)


def test_what_a_node_has_on_its_disk_is_found(nodes: list[Node]) -> None:
    """As after `thaw resume`, where the ledger is new."""
    first, second, _ = nodes
    first.stored.fill(ALL, content)
    again = Node(first.cluster, "a")
    again.fill()
    second.fill()
    # The time to compute is measured once, on a block of 16.
    assert not again.computed and len(second.computed) == IMAGES // 16


def test_a_node_that_does_not_answer_is_computed_for(nodes: list[Node]) -> None:
    first, second, _ = nodes
    first.fill(ALL[:1000])
    first.cluster.dead.add("a")
    assert not second.fill().error
    assert sorted(second.computed) == list(ALL)


def test_rows_that_are_gone_or_damaged_are_computed_again(nodes: list[Node]) -> None:
    first, second, third = nodes
    first.fill()
    second.damage = lambda got: got._replace(data=np.where(got.rows[:, None] == 7, got.data ^ 1, got.data))
    second.fill()
    assert second.computed == [7]
    first.stored.path.unlink()
    third.fill()
    assert set(third.computed) == set(ALL) - {7}


def test_a_slow_network_is_not_used(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = nodes
    first.fill()

    def late(*_: object) -> Rows:
        time.sleep(0.1)
        raise TimeoutError("the block took too long")

    for node in (second, third):
        monkeypatch.setattr(node, "fetch", late)
    shared = second.fill()
    assert shared.slow and shared.slow[0] > shared.slow[1] and not shared.error
    assert sorted(second.computed) == list(ALL)
    assert third.fill().slow == shared.slow, "the same sentence from everyone"
    assert sorted(third.computed) == list(ALL)


def test_a_silent_node_is_left_out_and_the_others_continue(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = nodes
    first.fill(ALL[:1000])
    second.fill(ALL[1000:])
    fetch, asked = third.fetch, []

    def one_is_silent(node: str, *rest: Any) -> Rows:
        asked.append(node)
        if node == "a":
            time.sleep(0.1)
            raise TimeoutError("nothing came")
        return fetch(node, *rest)

    monkeypatch.setattr(third, "fetch", one_is_silent)
    shared = third.fill()
    assert asked.count("a") == FETCHES and asked.count("b") == 8
    assert set(third.computed) == set(ALL[:1000]) and not shared.slow and not shared.error
    late = Node(first.cluster, "d")
    assert not late.fill().slow and not late.computed, "the silent node's rows are fetched from the third"


class Silent(Node):
    """Its ledger is gone."""

    def claim(self, view: str, images: int, rows: np.ndarray) -> Claim:
        raise ConnectionError("the ledger does not answer")

    def hold(self, view: str, images: int, rows: np.ndarray, seconds: float | None) -> None:
        raise ConnectionError("the ledger does not answer")


def test_without_a_ledger_a_node_continues_alone(nodes: list[Node]) -> None:
    alone = Silent(nodes[0].cluster, "a")
    assert alone.fill().error == "the ledger does not answer"
    assert sorted(alone.computed) == list(ALL)


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_ends() -> None:
    """The node that held it may have died. Without a measurement later than with one."""
    clock = Clock()
    ledger, block = Ledger(clock), np.arange(100)
    assert np.array_equal(ledger.claim("a", "key/v", 300, block).compute, block)
    clock.now = LATE * UNKNOWN - 1
    waiting = ledger.claim("b", "key/v", 300, block)
    assert not len(waiting.compute) and not waiting.fetch
    assert np.array_equal(ledger.claim("a", "key/v", 300, block).compute, block), "another worker of the same node"
    clock.now *= 2.1
    assert np.array_equal(ledger.claim("b", "key/v", 300, block).compute, block)
    ledger.hold("b", "key/v", 300, block, 20.0)
    later = block + 100
    ledger.claim("a", "key/v", 300, later)
    clock.now += LATE * 20 - 1
    assert not len(ledger.claim("b", "key/v", 300, later).compute)
    clock.now += 2
    assert np.array_equal(ledger.claim("b", "key/v", 300, later).compute, later)
    assert list(ledger.claim("a", "key/v", 300, block).fetch) == ["b"]


@pytest.mark.parametrize(("seconds", "fetched"), [(0.5, True), (2.0, False)])
def test_rows_are_fetched_where_that_is_faster(seconds: float, fetched: bool) -> None:
    ledger, block = Ledger(), np.arange(100)
    ledger.hold("a", "key/v", 300, block, 1.0)
    none = block[:0]
    for _ in range(3):
        claim = ledger.claim("b", "key/v", 300, block)
        assert np.array_equal(claim.fetch["a"], block) and claim.patience == LEAST and claim.slow is None
        ledger.fetched("a", "key/v", block, none, seconds)
    claim = ledger.claim("b", "key/w", 300, block)
    assert claim.slow == (None if fetched else (0.02, 0.01))
    claim = ledger.claim("c", "key/v", 300, block)
    assert list(claim.fetch) == (["a"] if fetched else []) and len(claim.compute) == (0 if fetched else 100)
    other = ledger.claim("c", "other/v", 300, block)
    assert other.slow is None, "each network and depth has its own rows and its own cost"
