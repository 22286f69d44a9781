"""Checkpoint files are read bit for bit, training continues as if never stopped, and damage is detected."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from tests.searches import small_config
from thaw.analysis.records import TrialRecord
from thaw.analysis.run_folder import RunFolder
from thaw.search.observers.checkpoints import CheckpointKeeper
from thaw.search.prepare.preflight import prepare
from thaw.search.settings.schema import CheckpointsConfig
from thaw.spaces import ConfigError, TrialConfig
from thaw.trainables.context import RunContext
from thaw.trainables.messages import EpochRow
from thaw.trainables.training.checkpoint import BestCheckpoint, read, read_best, write, write_best
from thaw.trainables.training.continuation import Continuation
from thaw.trainables.training.loop import Training

CPU = torch.device("cpu")
CONFIGS = {
    "adamw, all trained": {"architecture": "convnet", "optimizer": "adamw", "schedule": "one_cycle", "warmup": 1.0},
    "adam, head alone": {"architecture": "resnet18", "optimizer": "adam", "freeze_depth": 5},
    "sgd": {"architecture": "convnet", "optimizer": "sgd"},
    "sgd without momentum": {"architecture": "convnet", "optimizer": "sgd", "momentum": 0.0},
}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path, resnet18_file: Path) -> RunContext:
    folder = tmp_path_factory.mktemp("checkpoint")
    whole = prepare(small_config(folder, squares, cache, weights={"resnet18": str(resnet18_file)})).context
    return replace(whole, split=replace(whole.split, train=whole.split.train[:24]))


def begin(context: RunContext, **values: object) -> Training:
    config = TrialConfig(**{"head_units": 16, "epochs": 4, "patience": 0, "batch_size": 16, **values})
    return Training(config, context, context.images.open(), CPU)


def epoch(training: Training) -> EpochRow:
    row = training.epoch()
    assert isinstance(row, EpochRow)
    return replace(row, seconds={})


@pytest.mark.parametrize("name", CONFIGS)
def test_a_trial_continues_to_the_bit(name: str, context: RunContext, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    whole = begin(context, **CONFIGS[name])
    rows = [epoch(whole) for _ in range(3)]
    training = begin(context, **CONFIGS[name])
    for number in range(3):
        row = epoch(training)
        assert row == rows[number]
        saved = Continuation(folder, 7)
        saved.save(training, row)
        training = begin(context, **CONFIGS[name])
        assert Continuation(folder, 7).restore(training, logged=row.epoch) is None
        assert not saved.warning and training.progress.completed == row.epoch
    tensors = training.tensors()
    assert whole.tensors().keys() == tensors.keys()
    assert all(torch.equal(tensors[name], value) for name, value in whole.tensors().items())


def test_only_what_is_trained_is_written(context: RunContext, tmp_path: Path) -> None:
    training = begin(context, **CONFIGS["adam, head alone"])
    Continuation(RunFolder(tmp_path), 0).save(training, epoch(training))
    with safe_open(RunFolder(tmp_path).last_file(0), framework="pt") as content:
        names = set(content.keys())
    weights = {"head.1.weight", "head.1.bias", "head.4.weight", "head.4.bias"}
    assert {name for name in names if not name.startswith("optimizer.")} == weights
    trained = sum(tensor.numel() for tensor in training.network.tail.parameters())
    assert RunFolder(tmp_path).last_file(0).stat().st_size < 3 * 4 * trained + 8000


def test_best_follows_the_metric_of_the_search(context: RunContext, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    training = begin(replace(context, metric="val_loss"), architecture="convnet", learning_rate=0.02, epochs=50)
    continuation, rows, states = Continuation(folder, 3), [], []
    # Until the last epoch is not the best one; otherwise this test shows nothing.
    while len(rows) < 3 or training.progress.best_epoch == len(rows):
        rows.append(epoch(training))
        states.append(training.network.trained_state())
        continuation.save(training, rows[-1])
    best = read_best(folder.best_file(3))
    losses = [row.metrics["val_loss"] for row in rows]
    assert best.epoch == int(np.argmin(losses)) + 1 < len(rows)
    assert best.metrics == rows[best.epoch - 1].metrics and best.config == training.config
    assert best.rows.tolist() == context.split.validation.tolist() and best.rows.dtype == np.int64
    assert all(torch.equal(best.state[name], value) for name, value in states[best.epoch - 1].items())
    logits = torch.from_numpy(best.logits)
    assert logits.dtype == torch.float32
    targets = torch.from_numpy(context.labels[best.rows]).float()
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, targets)
    assert loss.item() == pytest.approx(min(losses), abs=1e-6)
    network = begin(context, architecture="convnet").network
    network.load_trained_state(best.state)
    assert all(torch.equal(best.state[name], value) for name, value in network.trained_state().items())


def test_an_epoch_that_was_not_logged_is_reported_without_training(context: RunContext, tmp_path: Path) -> None:
    training = begin(context, architecture="convnet")
    continuation = Continuation(RunFolder(tmp_path), 0)
    continuation.save(training, row := training.epoch())
    again = begin(context, architecture="convnet")
    assert Continuation(RunFolder(tmp_path), 0).restore(again, logged=0) == row
    assert again.progress == training.progress


def _truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def _flip_a_bit(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1000] ^= 1
    file.write_bytes(data)


def _of_another_version(file: Path) -> None:
    tensors, facts = read(file)
    write(file, tensors, {**facts, "format": 0})


def _of_another_configuration(file: Path) -> None:
    tensors, facts = read(file)
    write(file, tensors, {**facts, "config": {**facts["config"], "dropout": 0.7}})


DAMAGE = {
    "truncated": _truncate,
    "a flipped bit": _flip_a_bit,
    "empty": lambda file: file.write_bytes(b""),
    "text": lambda file: file.write_text("no checkpoint at all, and quite a long text"),
    "pickle": lambda file: torch.save({"a": torch.zeros(3)}, file),
    "other version": _of_another_version,
    "other configuration": _of_another_configuration,
    "absent": lambda file: file.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_checkpoint_restarts_the_trial_and_says_so(damage: str, context: RunContext, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    training = begin(context, architecture="convnet")
    first = epoch(training)
    Continuation(folder, 5).save(training, first)
    DAMAGE[damage](folder.last_file(5))
    again, continuation = begin(context, architecture="convnet"), Continuation(folder, 5)
    assert continuation.restore(again, logged=1) is None
    assert "trial 5 restarts from epoch 1" in continuation.warning and "last.safetensors" in continuation.warning
    assert epoch(again) == first
    continuation.save(again, first)
    assert Continuation(folder, 5).restore(begin(context, architecture="convnet"), logged=0) == first


@pytest.mark.parametrize("damage", ["truncated", "a flipped bit", "empty", "text", "pickle", "absent"])
def test_a_damaged_best_is_an_error_that_names_the_file(damage: str, tmp_path: Path) -> None:
    file = tmp_path / "best.safetensors"
    weights = {"head.weight": torch.randn(30, 40)}
    write_best(file, BestCheckpoint(2, TrialConfig(), {"val_map": 0.5}, weights, np.zeros((4, 3), "f4"), np.arange(4)))
    DAMAGE[damage](file)
    with pytest.raises(ConfigError, match=r"best\.safetensors: "):
        read_best(file)


def test_a_checkpoint_ahead_of_the_log_by_two_restarts(context: RunContext, tmp_path: Path) -> None:
    training = begin(context, architecture="convnet")
    for _ in range(3):
        row = epoch(training)
    Continuation(RunFolder(tmp_path), 5).save(training, row)
    continuation = Continuation(RunFolder(tmp_path), 5)
    assert continuation.restore(begin(context, architecture="convnet"), logged=1) is None
    assert "is at epoch 3, the event log at 1" in continuation.warning


FORK = multiprocessing.get_context("fork")
"""Processes that need not import torch again."""


def _fill_the_disk(file: Path) -> str:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    try:
        write(file, {"a": torch.ones(1_000_000)}, {})
    except OSError as error:
        return str(error)
    return ""


def test_a_full_disk_leaves_the_former_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "last.safetensors"
    write(file, {"a": torch.ones(1000)}, {})
    with ProcessPoolExecutor(1, mp_context=FORK) as pool:
        message = pool.submit(_fill_the_disk, file).result(timeout=60)
    assert "last.safetensors cannot be written: " in message
    assert [path.name for path in tmp_path.iterdir()] == ["last.safetensors"]
    assert read(file)[0]["a"].shape == (1000,)


def test_training_continues_when_checkpoints_cannot_be_written(context: RunContext, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").write_text("a file where the folder should be")
    training, continuation = begin(context, architecture="convnet"), Continuation(RunFolder(tmp_path), 0)
    for _ in range(2):
        continuation.save(training, epoch(training))
    assert "trial 0 continues without a checkpoint" in continuation.warning


def _write_for_ever(file: Path) -> None:
    for number in itertools.count():
        write(file, {"a": torch.full((1_000_000,), float(number))}, {"number": number})


def test_a_writer_that_is_killed_leaves_a_whole_file(tmp_path: Path) -> None:
    file = tmp_path / "last.safetensors"
    for delay in (0.0, 0.01, 0.02, 0.03, 0.04):
        writer = FORK.Process(target=_write_for_ever, args=(file,))
        writer.start()
        deadline = time.monotonic() + 60
        while not file.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(delay)
        writer.kill()
        writer.join()
        tensors, facts = read(file)
        assert (tensors["a"] == facts["number"]).all()


def test_facts_of_a_row_survive(context: RunContext, tmp_path: Path) -> None:
    training = begin(context, architecture="convnet")
    row = training.epoch()
    assert isinstance(row, EpochRow)
    Continuation(RunFolder(tmp_path), 0).save(training, row)
    _, facts = read(RunFolder(tmp_path).last_file(0))
    assert EpochRow(**facts["row"]) == row and facts["progress"] == asdict(training.progress)


def _record(number: int, status: str, value: float) -> TrialRecord:
    return TrialRecord(number, {}, status, epochs={1: {"metrics": {"val_map": value}}})


def test_the_best_trials_keep_their_weights_within_the_budget(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    statuses = ["completed", "pruned", "early_stopped", "failed", "running", "interrupted", "completed"]
    statuses += ["waiting", "waiting"]
    records = {i: _record(i, status, value) for i, (status, value) in enumerate(zip(statuses, range(9), strict=True))}
    for number in [*records, 99]:
        folder.checkpoint(number).mkdir(parents=True)
        for name in ("best.safetensors", "last.safetensors", ".last.safetensors.123"):
            (folder.checkpoint(number) / name).write_bytes(bytes(1000))

    def files(keep: int, budget: int) -> dict[int, int]:
        keeper = CheckpointKeeper(folder, CheckpointsConfig(keep=keep, budget=budget), "val_map")
        keeper.open(records)
        keeper.ended(records[0])
        return {int(place.name): len(list(place.iterdir())) for place in folder.checkpoints.iterdir()}

    # Trials 4 and 5 go on, and 7 and 8 perhaps; of those that ended well, 6, 2, 1, 0 is the order.
    assert files(keep=3, budget=100_000) == {6: 1, 2: 1, 1: 1, 4: 3, 5: 3, 7: 3, 8: 3}
    assert files(keep=3, budget=12_500) == {6: 1, 2: 1, 1: 1, 4: 3, 5: 3, 8: 3}, "trial 8 is better than 7"
    assert files(keep=3, budget=8000) == {6: 1, 2: 1, 4: 3, 5: 3}, "4 and 5 take 6000"
    assert files(keep=0, budget=8000) == {4: 3, 5: 3}
