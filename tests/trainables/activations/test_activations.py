"""The activation cache: exact, shared, repaired when damaged, and within its budget."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.conftest import ROOT
from tests.searches import search_file, small_config, trained
from thaw.search.prepare.preflight import prepare
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import load_config
from thaw.spaces import TrialConfig
from thaw.trainables.activations import inputs as module
from thaw.trainables.activations.budget import admit
from thaw.trainables.activations.plan import plan
from thaw.trainables.activations.store import StoredView
from thaw.trainables.context import RunContext
from thaw.trainables.data.in_use import hold
from thaw.trainables.messages import EpochRow
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.training.loop import Training


@pytest.fixture
def context(tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path) -> RunContext:
    """Three epochs' worth of images, augmented, with a cache of its own."""
    augment = {"augment": {"rotate": 20, "flip": 0.5}}
    config = small_config(
        tmp_path,
        squares,
        cache,
        weights={"resnet18": str(resnet18_file)},
        data=augment,
        training={"architecture": "resnet18"},
    )
    context = prepare(config).context
    return replace(context, cache=replace(context.cache, directory=tmp_path / "activations"))


def head(epochs: int, depth: int = 5) -> TrialConfig:
    return TrialConfig(architecture="resnet18", freeze_depth=depth, head_units=16, epochs=epochs, patience=0)


def rows(context: RunContext, depth: int, **changes: object) -> list[dict[str, float]]:
    result = list(trained(head(2, depth).model_copy(update=changes), context))
    assert all(isinstance(row, EpochRow) for row in result)
    return [row.metrics for row in result if isinstance(row, EpochRow)]


def without(context: RunContext) -> RunContext:
    return replace(context, cache=replace(context.cache, activations="off"))


def stored_files(context: RunContext) -> list[Path]:
    return sorted(context.cache.directory.glob("*/*.rows"))


@pytest.mark.parametrize("depth", [4, 5])
def test_stored_and_live_agree_to_the_bit(context: RunContext, depth: int) -> None:
    live = rows(without(context), depth)
    assert not context.cache.directory.exists()
    assert rows(context, depth) == live, "cold"
    names = [file.name for file in stored_files(context)]
    assert len(names) == 3 and "clean.rows" in names, "validation once, training once an epoch"
    module._stored_view.cache_clear()
    assert rows(context, depth) == live, "warm"


def test_without_augmentation_one_view_serves_all(context: RunContext) -> None:
    plain = replace(context, augment=type(context.augment)())
    assert rows(plain, 5) == rows(without(plain), 5)
    assert [file.name for file in stored_files(context)] == ["clean.rows"]


def test_trials_of_one_prefix_compute_it_once(context: RunContext, monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    real = module.Activations._computed
    monkeypatch.setattr(module.Activations, "_computed", lambda self, r, v: computed.append(len(r)) or real(self, r, v))
    rows(context, 5)
    first = sum(computed)
    assert first == 2 * len(context.split.train) + len(context.split.validation)
    rows(context, 5, learning_rate=0.01, dropout=0.5)
    assert sum(computed) == first, "another head needs nothing new"
    rows(context, 4)
    assert sum(computed) == 2 * first, "another depth does"


@pytest.mark.parametrize("damage", ["flipped", "zeroed", "truncated", "no checks"])
def test_damaged_files_are_mended(context: RunContext, damage: str) -> None:
    expected = rows(context, 5)
    for file in stored_files(context):
        content = bytearray(file.read_bytes())
        if damage == "flipped":
            content[int(context.split.validation[0]) * 2048 + 5] ^= 1
            content[int(context.split.train[0]) * 2048 + 5] ^= 1
        elif damage == "zeroed":
            content = bytearray(len(content))
        elif damage == "truncated":
            content = content[: len(content) // 2]
        else:
            file.with_suffix(".checks").write_bytes(b"")
        file.write_bytes(content)
    module._stored_view.cache_clear()
    assert rows(context, 5) == expected


def test_a_full_disk_means_computing_live(context: RunContext) -> None:
    """A limit on the size of files stands in for a full disk."""
    expected = rows(without(context), 5)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    try:
        training, (first, *_) = Training(head(2), context, context.open_images(), torch.device("cpu")), expected
        row = training.epoch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert isinstance(row, EpochRow) and row.metrics == first
    assert training.activations.warning.startswith("activations are not stored: File too large")


def test_an_unwritable_place_means_computing_live_with_a_warning(context: RunContext, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    blocked = replace(context, cache=replace(context.cache, directory=tmp_path / "file" / "below"))
    assert rows(blocked, 5) == rows(without(context), 5)


def test_half_precision_is_kept_apart_and_close(context: RunContext) -> None:
    full = rows(context, 5)
    half = rows(replace(context, cache=replace(context.cache, activations="fp16")), 5)
    assert len({file.parent for file in stored_files(context)}) == 2
    assert half != full
    assert abs(half[-1]["val_loss"] - full[-1]["val_loss"]) < 1e-2


def test_bf16_is_stored_as_it_is(context: RunContext) -> None:
    fast = replace(context, precision="bf16")
    assert rows(fast, 5, epochs=1) == rows(without(fast), 5, epochs=1)


def test_over_budget_later_views_are_computed_live(context: RunContext) -> None:
    one_view = 2048 * len(context.labels) + 10_000
    small = replace(context, cache=replace(context.cache, budget=one_view))
    assert rows(small, 5) == rows(without(context), 5)
    assert len(stored_files(context)) == 1
    assert sum(file.stat().st_size for file in context.cache.directory.glob("*/*")) < one_view


def test_a_cache_too_small_for_a_view_is_reported_once(tmp_path: Path, squares: Path, resnet18_file: Path) -> None:
    """In a search with any depths; results equal those with a cache that is large enough."""
    sections: dict[str, Any] = {
        "weights": {"resnet18": str(resnet18_file)},
        "space": {"freeze_depth": [4, 5], "dropout": [0.0, 0.4]},
        "training": {"architecture": "resnet18", "epochs": 1},
    }
    said, maps = [], []
    for budget in ("1kB", "1GB"):
        console = Console(file=StringIO())
        search_file(tmp_path, squares, tmp_path / "cache", **sections, name=budget)
        config = load_config(tmp_path / "search.yaml", [f"cache.budget={budget}"])
        run = run_search(config, console, backend="inline")
        said.append(console.file.getvalue().count("warning: cache.budget (1e-06 GB) or the disk of"))
        maps.append([record.values("val_map") for record in run.records.values()])
    assert said == [1, 0] and maps[0] == maps[1] and len(maps[0]) == 4


def test_unused_keys_go_first_and_used_ones_stay(tmp_path: Path) -> None:
    for name in ("old", "used", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "a.rows").write_bytes(b"x" * 1_000_000)
    hold(tmp_path / "used")
    hold(tmp_path / "new")
    assert admit(tmp_path / "new" / "a.rows", 1_000_000, budget=1), "it is there already"
    assert admit(tmp_path / "new" / "b.rows", 500_000, budget=6_000_000) and (tmp_path / "old").exists()
    assert (tmp_path / "new" / "b.rows").stat().st_size == 500_000, "it counts in full before it is filled"
    assert not admit(tmp_path / "new" / "c.rows", 600_000, budget=3_000_000) and not (tmp_path / "old").exists()
    assert admit(tmp_path / "new" / "c.rows", 400_000, budget=3_000_000)
    assert (tmp_path / "used").exists() and (tmp_path / "new").exists()


def test_two_processes_fill_one_view_together(tmp_path: Path) -> None:
    """Each computes some blocks, both end with all rows, and no row is computed twice."""
    script = (
        "import sys, time, numpy as np\n"
        "from pathlib import Path\n"
        "from thaw.trainables.activations.store import StoredView\n"
        "view = StoredView(Path(sys.argv[1]), 4096, 16)\n"
        "computed = []\n"
        "def compute(rows):\n"
        "    computed.extend(rows.tolist()); time.sleep(0.15)\n"
        "    return np.repeat((rows % 251).astype(np.uint8)[:, None], 16, 1)\n"
        "view.fill(np.arange(4096), compute)\n"
        "assert (view.data == (np.arange(4096) % 251)[:, None]).all()\n"
        "print(len(computed))\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a.rows")]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    counts = [int(process.communicate(timeout=60)[0]) for process in both]
    assert sum(counts) == 4096 and min(counts) > 0


def test_a_killed_producer_frees_its_block(tmp_path: Path) -> None:
    script = (
        "import sys, time, numpy as np\n"
        "from pathlib import Path\n"
        "from thaw.trainables.activations.store import StoredView\n"
        "view = StoredView(Path(sys.argv[1]), 64, 4)\n"
        "def compute(rows):\n"
        "    print('computing', flush=True); time.sleep(60)\n"
        "view.fill(np.arange(64), compute)\n"
    )
    path = tmp_path / "a.rows"
    producer = subprocess.Popen([sys.executable, "-c", script, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert producer.stdout is not None and producer.stdout.readline() == "computing\n"
    view = StoredView(path, 64, 4)
    with view._claim(0) as claimed:
        assert not claimed
    producer.kill()
    producer.wait()
    view.fill(np.arange(64), lambda todo: np.full((len(todo), 4), 7, np.uint8))
    assert (view.data == 7).all()


def test_plans_follow_cost_and_size() -> None:
    cost = resolve("resnet50", "none", 128).cost
    shallow = plan(cost, 3, 512, torch.float32, "cpu")
    deep = plan(cost, 4, 512, torch.float32, "cpu")
    whole = plan(cost, 5, 512, torch.float32, "cpu")
    # PERF: layer3 at 128 pixels is 1024 × 8 × 8, pooled features are 2048.
    assert deep.shape == (1024, 8, 8) and deep.row_bytes == 262_144 and whole.shape == (2048,)
    assert shallow.gain < 1.5 < deep.gain < whole.gain
    assert plan(cost, 5, 512, torch.float16, "cpu").row_bytes == 4096
    assert not plan(cost, 1, 512, torch.float32, "cuda").stored
