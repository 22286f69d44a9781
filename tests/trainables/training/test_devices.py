"""A trial on a processor and on a GPU: the same values, everything moved once, no waiting at each batch.

What needs a GPU is marked so; the rest of the same tests runs on a processor.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.searches import small_config, small_search
from thaw.search.prepare.preflight import prepare
from thaw.spaces import TrialConfig
from thaw.trainables.activations import resident
from thaw.trainables.activations.store import StoredView
from thaw.trainables.context import RunContext
from thaw.trainables.data.augment import AUGMENTS
from thaw.trainables.evaluation.metrics import epoch_metrics
from thaw.trainables.messages import EpochRow
from thaw.trainables.training.loop import Training

HEAD = TrialConfig(architecture="resnet18", freeze_depth=5, head_units=16, epochs=3, patience=0, batch_size=16)
TOLERANCE = {"cpu": 0.0, "cuda": 1e-5}


@pytest.fixture(params=["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request: pytest.FixtureRequest) -> torch.device:
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("no GPU here")
    torch.set_num_threads(1)
    return torch.device(request.param)


@pytest.fixture
def context(tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path) -> RunContext:
    weights = {"resnet18": str(resnet18_file)}
    training = {"architecture": "resnet18"}
    context = prepare(small_config(tmp_path, squares, cache, weights=weights, training=training)).context
    return replace(context, augment=AUGMENTS["paper"], cache=replace(context.cache, directory=tmp_path / "activations"))


def live(context: RunContext) -> RunContext:
    return replace(context, cache=replace(context.cache, activations="off"))


def start(context: RunContext, device: torch.device, **changes: Any) -> Training:
    return Training(HEAD.model_copy(update=changes), context, context.open_images(), device)


def metrics(context: RunContext, device: torch.device, **changes: Any) -> list[dict[str, float]]:
    training = start(context, device, **changes)
    rows = [training.epoch() for _ in range(training.config.epochs)]
    return [row.metrics for row in rows if isinstance(row, EpochRow)]


def assert_same(ours: list[dict[str, float]], theirs: list[dict[str, float]], device: torch.device) -> None:
    assert len(ours) == len(theirs) == 3
    for one, other in zip(ours, theirs, strict=True):
        assert one == pytest.approx(other, rel=TOLERANCE[device.type], abs=TOLERANCE[device.type])


@pytest.mark.parametrize("views", [1, 2, None])
def test_views_on_the_device_equal_live_ones(
    context: RunContext, device: torch.device, views: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a processor nothing is held, as mapped files are as fast; this test forces it, to run the same code."""
    monkeypatch.setattr(resident, "_room", lambda device, taken: float("inf"))
    here = replace(context, views=views)
    assert_same(metrics(here, device), metrics(live(here), device), device)


def test_pixels_are_moved_once_and_give_the_same(
    context: RunContext, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of training and validation images together; the next trial of the process finds them there."""
    monkeypatch.setattr(resident, "_room", lambda device, taken: 0.0)
    expected = metrics(live(context), device)
    moved: list[int] = []
    original = resident._copy_rows
    monkeypatch.setattr(resident, "_room", lambda device, taken: float("inf"))
    monkeypatch.setattr(resident, "_copy_rows", lambda s, rows, d: moved.append(len(rows)) or original(s, rows, d))
    monkeypatch.setattr(resident.RESIDENT, "_views", type(resident.RESIDENT._views)())
    assert_same(metrics(live(context), device), expected, device)
    metrics(live(context), device, dropout=0.5)
    assert moved == [len(context.split.train) + len(context.split.validation)]


def test_one_view_for_training_and_validation_is_moved_once(
    context: RunContext, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resident, "_room", lambda device, taken: float("inf"))
    moved: list[int] = []
    original = resident._copy_rows
    monkeypatch.setattr(resident, "_copy_rows", lambda s, rows, d: moved.append(len(rows)) or original(s, rows, d))
    monkeypatch.setattr(resident, "SLICE", 5 * 2048)  # five images at a time
    plain = replace(context, augment=AUGMENTS["none"])
    ours = metrics(plain, device)
    train, validation = len(context.split.train), len(context.split.validation)
    assert moved == [train, train + validation], "never again in later epochs, and no batch is read from the file"
    assert_same(ours, metrics(live(plain), device), device)


def test_fresh_views_are_let_go_and_repeated_ones_kept(context: RunContext, device: torch.device) -> None:
    """Each holds open files; hundreds of epochs must not run out of them."""
    for views, held in ((None, 2), (2, 3)):
        training = start(replace(context, views=views), device)
        for _ in range(3):
            training.epoch()
        assert len(training.activations._views) == held


def test_a_view_that_does_not_fit_stays_in_the_file(
    context: RunContext, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for the training images of the one view, and not for the validation images beside them."""
    monkeypatch.setattr(resident, "_room", lambda device, taken: 2048.0 * len(context.split.train))
    plain = replace(context, augment=AUGMENTS["none"])
    assert_same(metrics(plain, device), metrics(live(plain), device), device)


def test_memory_that_runs_out_while_a_view_is_moved_leaves_it_in_the_file(
    context: RunContext, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crowded(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(resident, "_room", lambda device, taken: float("inf"))
    monkeypatch.setattr(resident, "_copy_rows", crowded)
    assert_same(metrics(context, device), metrics(live(context), device), device)


def test_the_next_trial_finds_stored_views_and_the_oldest_one_makes_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows, cpu = np.arange(4), torch.device("cpu")
    content = np.arange(32, dtype=np.uint8).reshape(4, 8)
    files = {name: StoredView(tmp_path / f"{name}.rows", 4, 8) for name in "abc"}
    for stored in files.values():
        stored.write(rows, content)
    monkeypatch.setattr(resident, "_room", lambda device, taken: 64.0)
    views = resident.ResidentViews()

    def get(name: str, rows: np.ndarray = rows) -> resident.Resident | None:
        return views.get(name, files[name].data, rows, torch.float32, cpu)

    first = get("a", rows[:2])
    assert first is not None and torch.equal(first.values, torch.from_numpy(content[:2]).view(torch.float32))
    grown = get("a")
    assert grown is not None and grown.order.tolist() == [0, 1, 2, 3] and get("a", rows[1:2]) is grown
    b = get("b")
    assert get("a") is grown and get("c") is not None and get("a") is grown
    assert get("b") is not b, "it was used longest ago"
    monkeypatch.setattr(resident, "_room", lambda device, taken: 16.0)
    assert get("c") is None


def test_bf16_stays_near_fp32(context: RunContext, device: torch.device) -> None:
    exact, rounded = metrics(context, device), metrics(replace(context, precision="bf16"), device)
    assert exact != rounded
    assert [row["val_loss"] for row in rounded] == pytest.approx([row["val_loss"] for row in exact], rel=0.03)


@pytest.mark.parametrize(
    ("precision", "convolutions", "products"), [("fp32", False, False), ("tf32", True, True), ("bf16", True, False)]
)
def test_a_precision_sets_torchs_rounding(
    context: RunContext, precision: str, convolutions: bool, products: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch allows TF32 in convolutions by default; trials of other precisions share the process."""
    found = []
    trainings = [start(replace(context, precision=name), torch.device("cpu")) for name in (precision, "fp32")]
    monkeypatch.setattr(Training, "_train", lambda self, epoch, view: found.append(rounding()) or 1 / 0)
    for training in trainings:
        with pytest.raises(ZeroDivisionError):
            training.epoch()
    assert found == [(convolutions, products), (False, False)]
    keys = {training.activations.folder for training in trainings}
    assert len(keys) == len({precision, "fp32"}), "activations of one precision are not used in another"


def test_a_deterministic_trial_repeats_to_the_bit(
    context: RunContext, device: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of it, from the prefix on; the next trial of the process computes as it likes again."""
    exact = replace(live(context), deterministic=True)
    first = metrics(exact, device, freeze_depth=3)
    assert torch.are_deterministic_algorithms_enabled() and os.environ["CUBLAS_WORKSPACE_CONFIG"]
    assert metrics(exact, device, freeze_depth=3) == first
    other = metrics(live(context), device, freeze_depth=3)
    assert not torch.are_deterministic_algorithms_enabled()
    if device.type == "cpu":
        assert other == first
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    for place, keys in (("cpu", 1), ("cuda", 2)):
        found = set()
        for way in (context, replace(context, deterministic=True)):
            activations = start(way, device).activations
            activations.device = torch.device(place)
            found.add(activations._key(HEAD))
        assert len(found) == keys, "a GPU's stored activations are those of one way to compute"


def rounding() -> tuple[bool, bool]:
    return torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32


class Looks(TorchDispatchMode):
    """Counts torch's operations by name. Taking a number from a tensor waits for all work of the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count: Counter[str] = Counter()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count[function.overloadpacket.__name__] += 1
        return function(*args, **(kwargs or {}))


@contextmanager
def waits(device: torch.device) -> Iterator[list[int]]:
    """How often the program waited for the device within the block."""
    found: list[int] = []
    with Looks() as looks, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("warn")
        try:
            yield found
        finally:
            if device.type == "cuda":
                torch.cuda.set_sync_debug_mode("default")
    found.append(looks.count["_local_scalar_dense"] + sum("synchroniz" in str(entry.message) for entry in told))


@pytest.mark.parametrize(("depth", "activations"), [(5, "auto"), (5, "off"), (4, "auto")])
def test_more_batches_do_not_mean_more_waiting(
    context: RunContext, device: torch.device, depth: int, activations: str
) -> None:
    """Stored, live, and with layers of the backbone in training."""
    here = replace(context, cache=replace(context.cache, activations=activations))
    counts = []
    for batch_size in (42, 12):
        training = start(here, device, batch_size=batch_size, freeze_depth=depth)
        training.activations.prepare(context.split.train, 0)
        with waits(device) as found:
            training._train(1, 0)
        counts += found
    assert counts[0] == counts[1]


def test_metrics_cost_as_many_operations_for_many_images_and_labels_as_for_few() -> None:
    def operations(images: int, labels: int) -> int:
        probabilities, targets = torch.rand(images, labels), torch.rand(images, labels) < 0.3
        with Looks() as looks:
            epoch_metrics(probabilities, targets)
        return looks.count.total()

    assert operations(10, 3) == operations(500, 3) == operations(500, 40) < 100


@pytest.mark.gpu
def test_several_trials_share_a_gpu(tmp_path: Path, squares: Path, resnet18_file: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    run = small_search(
        tmp_path,
        squares,
        tmp_path / "cache",
        weights={"resnet18": str(resnet18_file)},
        space={"learning_rate": [0.0001, 0.0003, 0.001, 0.003]},
        training={"architecture": "resnet18", "freeze_depth": 5},
        search={"algorithm": "grid", "concurrency": 2},
        resources={"cpu": 1, "gpu": 0.5},
    )
    assert list(run.trials["status"]) == ["completed"] * 4
    assert len({row["worker"] for record in run.records.values() for row in record.epochs.values()}) == 2
