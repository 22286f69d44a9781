"""The training loop of one trial, without Ray."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.searches import small_config, trained
from thaw.search.prepare.preflight import prepare
from thaw.spaces import METRICS, TrialConfig, measured
from thaw.trainables.context import RunContext
from thaw.trainables.messages import EpochRow, Failure
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.weights import digest
from thaw.trainables.training.loop import Training

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"architecture": "convnet", "head_units": 16, "epochs": 2, "learning_rate": 0.003}


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path, resnet18_file: Path) -> RunContext:
    folder = tmp_path_factory.mktemp("loop")
    return prepare(small_config(folder, squares, cache, weights={"resnet18": str(resnet18_file)})).context


def small(**values: Any) -> TrialConfig:
    return TrialConfig(**{**SMALL, **values})


def rows_of(config: TrialConfig, context: RunContext) -> list[EpochRow]:
    rows = list(trained(config, context))
    assert all(isinstance(row, EpochRow) for row in rows), rows
    return [row for row in rows if isinstance(row, EpochRow)]


def without_times(rows: Sequence[EpochRow]) -> list[EpochRow]:
    return [replace(row, seconds={}) for row in rows]


def test_equal_seeds_give_equal_rows_and_other_seeds_others(context: RunContext) -> None:
    first, second = rows_of(small(), context), rows_of(small(), context)
    assert without_times(first) == without_times(second)
    other = rows_of(small(), replace(context, seed=1))
    assert other[0].metrics != first[0].metrics


def test_a_trial_does_not_depend_on_what_ran_before(context: RunContext) -> None:
    alone = rows_of(small(dropout=0.5), context)
    rows_of(small(architecture="resnet18", freeze_depth=4, optimizer="sgd"), context)
    torch.manual_seed(99)
    np.random.seed(99)
    torch.rand(5)
    assert without_times(rows_of(small(dropout=0.5), context)) == without_times(alone)


def test_it_learns_and_reports_its_metrics(context: RunContext) -> None:
    rows = rows_of(small(epochs=12, dropout=0.0, schedule="cosine"), context)
    assert [row.epoch for row in rows] == list(range(1, len(rows) + 1))
    assert rows[-1].metrics["train_loss"] < 0.8 * rows[0].metrics["train_loss"]
    assert rows[-1].metrics["val_map"] > rows[0].metrics["val_map"]
    for row in rows:
        assert set(row.metrics) == {f"{split}_{name}" for split in ("val", "train") for name in measured(False, 3)}
        for column, value in row.metrics.items():
            metric = METRICS[column.partition("_")[2]]
            assert metric.low <= value <= metric.high and math.isfinite(value), column
        assert row.metrics["val_map"] == pytest.approx(np.mean([ap for ap in row.label_ap if ap is not None]))
        assert row.gradient_norm > 0 and all(value >= 0 for value in row.seconds.values())
    network = Training(small(), context, context.images.open(), CPU).network
    assert rows[0].parameters == sum(p.numel() for p in network.parameters())


def test_bf16_stays_near_fp32(context: RunContext) -> None:
    fp32, bf16 = rows_of(small(epochs=1), context), rows_of(small(epochs=1), replace(context, precision="bf16"))
    for exact, rounded in zip(fp32, bf16, strict=True):
        assert rounded.metrics != exact.metrics
        assert rounded.metrics["val_loss"] == pytest.approx(exact.metrics["val_loss"], rel=0.03)


def test_softmax_on_one_label_per_image(tmp_path: Path, squares: Path, cache: Path) -> None:
    lines = (squares / "labels.csv").read_text().splitlines()
    (tmp_path / "single.csv").write_text("\n".join(line for line in lines if " " not in line))
    config = small_config(tmp_path, squares, cache, data={"labels": str(tmp_path / "single.csv")})
    context = prepare(config).context
    rows = rows_of(small(loss="softmax", epochs=10, batch_size=8, dropout=0.0), context)
    # ln 3 is the loss of a network that finds all three labels equally likely.
    assert rows[0].metrics["val_loss"] == pytest.approx(math.log(3), rel=0.5)
    assert rows[-1].metrics["train_loss"] < rows[0].metrics["train_loss"]
    for row in rows:
        # With one label an image, the most probable label is the whole prediction.
        assert row.metrics["val_exact_match"] <= row.metrics["val_top1_accuracy"] == row.metrics["val_accuracy"]
        assert set(row.metrics) == {f"{split}_{name}" for split in ("val", "train") for name in measured(True, 3)}


@pytest.mark.parametrize("activations", ["auto", "off"])
@pytest.mark.parametrize("depth", [3, 5])
def test_frozen_weights_stay_bit_identical(context: RunContext, depth: int, activations: str) -> None:
    here = replace(context, cache=replace(context.cache, activations=activations))
    training = Training(small(architecture="resnet18", freeze_depth=depth), here, context.images.open(), CPU)
    before = {name: value.clone() for name, value in training.network.state_dict().items()}
    layers = resolve("resnet18", context.weights, context.images.size).layers
    shared = {name: digest(layer.state_dict()) for name, layer in layers.items()}
    rows = [training.epoch() for _ in range(2)]
    assert {name: digest(layer.state_dict()) for name, layer in layers.items()} == shared
    after = training.network.state_dict()
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    frozen = {name for name in after if name.startswith("prefix.")}
    assert len(frozen) >= 20 and not changed & frozen
    trained = {f"tail.{name}" for name, _ in training.network.tail.named_parameters()}
    assert trained <= changed
    assert isinstance(rows[1], EpochRow)
    assert rows[1].parameters == sum(value.numel() for name, value in after.items() if name in trained)


def test_head_alone_learns_on_random_features(context: RunContext) -> None:
    rows = rows_of(small(architecture="resnet18", freeze_depth=5, epochs=8, patience=0), context)
    assert rows[-1].metrics["train_loss"] < rows[0].metrics["train_loss"]


def test_a_single_image_left_over_waits(context: RunContext) -> None:
    images = len(context.split.train)
    size = next(size for size in range(2, images) if images % size == 1)
    training = Training(small(batch_size=size), context, context.images.open(), CPU)
    batches, targets = training.batches(1)
    assert [len(batch) for batch in batches] == [size] * (images // size) and len(targets) == images - 1
    row = training.epoch()
    assert isinstance(row, EpochRow) and math.isfinite(row.metrics["train_loss"])


def test_a_batch_larger_than_the_data(context: RunContext) -> None:
    rows = rows_of(small(batch_size=4096), context)
    assert len(rows) == 2 and all(math.isfinite(row.metrics["val_loss"]) for row in rows)


def seen(context: RunContext, epochs: int) -> list[dict[int, Tensor]]:
    """Image number → the network's input, for each epoch."""
    training = Training(small(epochs=epochs, patience=0), context, context.images.open(), CPU)
    given: list[dict[int, Tensor]] = []
    batches = training.activations.batches

    def recorded(parts: Sequence[np.ndarray], view: int | None) -> Iterator[Tensor]:
        for rows, inputs in zip(parts, batches(parts, view), strict=True):
            if view is not None:
                given[-1] |= {int(row): image.clone() for row, image in zip(rows, inputs, strict=True)}
            yield inputs

    training.activations.batches = recorded  # type: ignore[method-assign]
    for _ in range(epochs):
        given.append({})
        training.epoch()
    return given


def test_views_come_again(context: RunContext) -> None:
    def equal(a: dict[int, Tensor], b: dict[int, Tensor]) -> bool:
        assert a.keys() == b.keys() == set(context.split.train.tolist())
        return all(torch.equal(a[row], b[row]) for row in a)

    one = seen(replace(context, views=1), 2)
    assert equal(one[0], one[1])
    two = seen(replace(context, views=2), 3)
    assert equal(two[0], two[2]) and not equal(two[0], two[1])
    fresh = seen(replace(context, views=None), 2)
    assert not equal(fresh[0], fresh[1]) and equal(fresh[0], one[0])


def test_a_loss_that_is_not_finite_is_an_outcome(context: RunContext) -> None:
    exploding = small(optimizer="sgd", learning_rate=10.0, momentum=0.99, weight_decay=1.0, epochs=50, patience=0)
    *rows, last = trained(exploding, context)
    assert isinstance(last, Failure) and last.epoch == len(rows) + 1
    assert f"in epoch {last.epoch}" in last.reason and "smaller learning_rate" in last.reason


def test_patience_and_epochs_end_a_trial(context: RunContext) -> None:
    to_the_end = rows_of(small(epochs=3, patience=0), context)
    assert [row.finished for row in to_the_end] == ["", "", "max_epochs"]
    rows = rows_of(small(epochs=200, patience=2, learning_rate=0.02, dropout=0.0), context)
    losses = [row.metrics["val_loss"] for row in rows]
    assert rows[-1].finished == "patience" and int(np.argmin(losses)) == len(losses) - 3


def test_a_metric_without_a_value_is_left_out_and_the_objective_has_one(context: RunContext) -> None:
    blank = np.zeros_like(context.labels)
    for split in ("train", "validation"):
        labels, prefix = context.labels.copy(), split.removesuffix("idation")
        labels[getattr(context.split, split)] = blank[getattr(context.split, split)]
        without = replace(context, labels=labels)
        rows = rows_of(small(epochs=1), replace(without, metric="val_loss"))
        assert f"{prefix}_map" not in rows[0].metrics and all(map(math.isfinite, rows[0].metrics.values()))
        last = list(trained(small(epochs=1), replace(without, metric=f"{prefix}_map")))[-1]
        assert last == Failure(1, f"{prefix}_map has no value: none of its images has a label")


def test_six_images(tmp_path: Path, cache: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for i in range(6):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / "images" / f"{i}.png")
    (tmp_path / "labels.csv").write_text("".join(f"{i}.png,{'ab'[i % 2]}\n" for i in range(6)))
    context = prepare(small_config(tmp_path, tmp_path, cache)).context
    assert len(context.split.train) >= 2 and len(context.split.validation) >= 1
    rows = rows_of(small(epochs=1), context)
    assert math.isfinite(rows[0].metrics["val_loss"])
