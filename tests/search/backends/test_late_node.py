"""Readers of stored rows run on every Ray node, including one that joins after the session has begun."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import ray

from thaw.search.backends.ray import sharing
from thaw.trainables.activations.store import StoredView

ROWS = np.arange(40)


@pytest.mark.usefixtures("ray_session")
def test_a_node_that_joins_later_gets_a_reader_that_ends_with_the_session(tmp_path: Path) -> None:
    here = ray.get_runtime_context().get_node_id()
    ledger = sharing._on(here, sharing.RayLedger, [])
    content = np.arange(40 * 8, dtype=np.uint8).reshape(40, 8)
    stored = StoredView(tmp_path / "clean.rows", 40, 8)
    stored.write(ROWS, content)
    late, other = sharing.RayExchange(ledger), sharing.RayExchange(ledger)
    late.hold(str(stored.path), 40, ROWS, None)
    got = other.fetch(here, str(stored.path), 40, 8, ROWS, 30)
    assert np.array_equal(got.rows, ROWS) and np.array_equal(got.data, content)
    reader = other._readers[here]
    ray.kill(ledger)
    with pytest.raises(ray.exceptions.RayActorError):
        for _ in range(100):
            ray.get(reader.read.remote(str(stored.path), 40, 8, ROWS))
            time.sleep(0.1)
