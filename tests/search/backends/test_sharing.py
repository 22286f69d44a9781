"""Activations shared between three Ray nodes of one machine, each with a disk of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import ROOT, write_squares
from tests.searches import check_whole, search_file, small_search
from thaw.analysis.run_folder import RunFolder

pytestmark = [pytest.mark.slow, pytest.mark.alone]

IMAGES = 3000
SECTIONS: dict[str, Any] = {
    "data": {"augment": "none"},
    "space": {"learning_rate": [1e-3, 2e-3, 3e-3]},
    "training": {"architecture": "resnet18", "freeze_depth": 5, "epochs": 3, "patience": 0},
    "resources": {"cpu": 1, "gpu": 0},
}


@pytest.fixture(scope="module")
def many_squares(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough for 22 blocks of activations."""
    return write_squares(tmp_path_factory.mktemp("many") / "squares", IMAGES)


def stored_rows(place: Path) -> bytes:
    [file] = place.rglob("*.rows")
    return file.read_bytes()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, many_squares: Path, resnet18_file: Path) -> bytes:
    """The rows computed by a single process."""
    place = tmp_path_factory.mktemp("alone")
    torch.set_num_threads(1)
    training = {**SECTIONS["training"], "epochs": 1}
    sections = {**SECTIONS, "weights": {"resnet18": str(resnet18_file)}, "training": training}
    small_search(place, many_squares, place / "cache", **{**sections, "space": {"learning_rate": [1e-3]}})
    return stored_rows(place)


@pytest.mark.parametrize("kill", [False, True], ids=["all live", "one is killed"])
def test_three_nodes_compute_each_row_once(
    tmp_path: Path, many_squares: Path, resnet18_file: Path, alone: bytes, kill: bool
) -> None:
    """Only the rows that a killed node held are computed again."""
    sections = {**SECTIONS, "weights": {"resnet18": str(resnet18_file)}}
    file = search_file(tmp_path, many_squares, tmp_path / "cache", **sections)
    disks, computed = tmp_path / "disks", tmp_path / "computed"
    command = [sys.executable, "-m", "tests.cluster_search", str(file), "--set", "cache.share=cluster"]
    more = ["--disks", str(disks), *(["--kill", "computing"] if kill else [])]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "THAW_TEST_COMPUTED": str(computed)}
    done = subprocess.run([*command, *more], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=580)
    if "no right to mount" in done.stderr:
        pytest.skip("a disk for each node takes the right to mount")
    assert done.returncode == 0, done.stderr
    run = check_whole(RunFolder(tmp_path / "results" / "squares"))
    assert list(run.trials["status"]) == ["completed"] * 3
    epochs = [row for record in run.records.values() for row in record.epochs.values()]
    assert not [row["warning"] for row in epochs if row.get("warning")]
    counts = [line.split() for line in computed.read_text().splitlines()]
    by_node = {node: sum(int(rows) for name, rows, _ in counts if name == node) for node, *_ in counts}
    used = int(np.count_nonzero(np.frombuffer(alone, np.uint8).reshape(IMAGES, -1).any(1)))
    seconds, waited = sum(float(row[2]) for row in counts), sum(row["seconds"]["prefix"] for row in epochs)
    print(f"\n{used} rows, computed by node: {by_node}; {seconds:.1f} s of computing, {waited:.1f} with all waiting")
    # After the kill two nodes are left for three trials: one of them may do all, before the other's worker has started.
    began = [disk for disk in disks.iterdir() if any(disk.rglob("*.rows"))] if kill else list(disks.iterdir())
    whole = [disk for disk in began if stored_rows(disk) == alone]
    if kill:
        assert f"kill {disks}" not in done.stdout and "kill " in done.stdout
        assert len(whole) >= 1 and sum(by_node.values()) <= 2 * used
    else:
        assert len(by_node) == 3 and len(whole) == 3 and sum(by_node.values()) <= 1.2 * used
