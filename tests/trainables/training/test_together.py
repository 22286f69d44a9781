"""Heads that are trained together get the results that each gets alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.searches import small_config
from thaw.search.prepare.preflight import prepare
from thaw.spaces import TrialConfig
from thaw.trainables.context import RunContext
from thaw.trainables.data.augment import AUGMENTS
from thaw.trainables.messages import EpochRow, Failure
from thaw.trainables.training.loop import Training
from thaw.trainables.training.together import epoch_together, shape

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
HEAD: dict[str, Any] = {
    "architecture": "resnet18",
    "freeze_depth": 5,
    "head_units": 16,
    "epochs": 3,
    "patience": 0,
    "batch_size": 16,
}
DIFFERENT: list[dict[str, Any]] = [
    {"learning_rate": 1e-3, "dropout": 0.2, "weight_decay": 0.0},
    {"learning_rate": 1e-2, "dropout": 0.0, "weight_decay": 0.1, "schedule": "cosine", "clip_norm": 0.5},
    {"learning_rate": 3e-3, "dropout": 0.7, "optimizer": "sgd", "momentum": 0.8, "warmup": 1.0},
    {"learning_rate": 3e-3, "dropout": 0.7, "optimizer": "adam", "clip_norm": 0.0, "epochs": 5},
]
"""Hyperparameters in which heads that are trained together may differ."""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path, resnet18_file: Path) -> RunContext:
    folder = tmp_path_factory.mktemp("together")
    config = small_config(
        folder, squares, cache, weights={"resnet18": str(resnet18_file)}, training={"architecture": "resnet18"}
    )
    return replace(prepare(config).context, augment=AUGMENTS["paper"], views=2)


def start(context: RunContext, device: torch.device = CPU, **values: Any) -> Training:
    return Training(TrialConfig(**{**HEAD, **values}), context, context.open_images(), device)


def assert_same(ours: EpochRow | Failure, alone: EpochRow | Failure, tolerance: float = 1e-5) -> None:
    assert isinstance(ours, EpochRow) and isinstance(alone, EpochRow)
    assert ours.metrics == pytest.approx(alone.metrics, rel=tolerance, abs=tolerance)
    assert ours.gradient_norm == pytest.approx(alone.gradient_norm, rel=max(tolerance, 1e-4))
    assert set(ours.seconds) == set(alone.seconds)
    fields = ("epoch", "learning_rate", "parameters", "finished")
    assert [getattr(ours, name) for name in fields] == [getattr(alone, name) for name in fields]


def assert_close(ours: dict[str, Tensor], alone: dict[str, Tensor]) -> None:
    assert ours.keys() == alone.keys()
    for name, value in alone.items():
        torch.testing.assert_close(ours[name], value, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "common",
    [
        pytest.param({}, id="bce"),
        pytest.param({"loss": "focal", "positive_weight": 3.0, "label_smoothing": 0.1}, id="focal"),
        pytest.param({"loss": "softmax", "label_smoothing": 0.1, "head_units": 0}, id="softmax"),
    ],
)
def test_heads_have_the_results_that_each_has_alone(context: RunContext, common: dict[str, Any]) -> None:
    """Different learning rates, decays, dropouts, optimisers and schedules; their states are the same, too."""
    group = [start(context, **common, **own) for own in DIFFERENT]
    alone = [start(context, **common, **own) for own in DIFFERENT]
    assert len({shape(training) for training in group}) == 1
    for _ in range(3):
        rows = epoch_together(group)
        for ours, training in zip(rows, alone, strict=True):
            assert_same(ours, training.epoch())
    for ours, other in zip(group, alone, strict=True):
        assert_close(ours.tensors(), other.tensors())


@pytest.mark.gpu
def test_on_a_gpu_too(context: RunContext) -> None:
    """Without dropout, whose masks differ there."""
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    cuda = torch.device("cuda")
    group, alone = ([start(context, cuda, **{**own, "dropout": 0.0}) for own in DIFFERENT] for _ in range(2))
    for _ in range(2):
        for ours, training in zip(epoch_together(group), alone, strict=True):
            assert_same(ours, training.epoch(), 1e-3)


def test_bf16_and_activations_that_are_not_stored(context: RunContext) -> None:
    here = replace(context, precision="bf16", cache=replace(context.cache, activations="off"))
    group, alone = [[start(here, **own) for own in DIFFERENT[:2]] for _ in range(2)]
    for ours, training in zip(epoch_together(group), alone, strict=True):
        assert_same(ours, training.epoch(), 0.01)


def test_heads_join_and_leave(context: RunContext) -> None:
    """Each at its own epoch, as after a trial that ended and one that was resumed; then on alone."""
    first, second, third = (start(context, **own) for own in DIFFERENT[:3])
    alone = [start(context, **own) for own in DIFFERENT[:3]]
    expected = [[training.epoch() for _ in range(3)] for training in alone]
    got: list[list[EpochRow | Failure]] = [[], [], []]
    got[0].append(first.epoch())
    for members in ((0, 1), (0, 2, 1), (2, 1)):
        for number, row in zip(members, epoch_together([(first, second, third)[n] for n in members]), strict=True):
            got[number].append(row)
    got[2].append(third.epoch())
    for ours, theirs in zip(got, expected, strict=True):
        for row, other in zip(ours, theirs, strict=True):
            assert_same(row, other)


def test_a_head_that_diverges_leaves_the_others_alone(context: RunContext) -> None:
    wild = {"learning_rate": 10.0, "optimizer": "sgd", "momentum": 0.99}
    broken = start(context, **wild)
    with torch.no_grad():
        broken.trained[0].fill_(1e30)
    group = [start(context, **DIFFERENT[0]), broken, start(context, **DIFFERENT[1])]
    rows = epoch_together(group)
    assert isinstance(rows[1], Failure) and "loss became" in rows[1].reason
    for ours, own in ((rows[0], DIFFERENT[0]), (rows[2], DIFFERENT[1])):
        assert_same(ours, start(context, **own).epoch())


def test_only_heads_of_one_shape_are_trained_together(context: RunContext) -> None:
    one = shape(start(context))
    assert one == shape(start(context, learning_rate=0.1, dropout=0.5, epochs=7, optimizer="sgd"))
    others: list[dict[str, Any]] = [{"head_units": 8}, {"batch_size": 8}, {"loss": "focal"}, {"label_smoothing": 0.1}]
    assert one not in [shape(start(context, **other)) for other in others]
    split = context.split
    assert one != shape(start(replace(context, split=replace(split, train=split.train[1:]))))
    assert shape(start(context, freeze_depth=4)) is None
