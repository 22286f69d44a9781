"""A training step, the frozen prefix, augmentation, validation and moving of views on a GPU that does not exist.

No two devices are mixed, no step waits for a value, and a step's launches are bounded.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.fake_cuda import CUDA, fake_cuda, gradients
from tests.searches import small_config
from thaw.search.prepare.preflight import prepare
from thaw.spaces import TrialConfig
from thaw.trainables.context import RunContext
from thaw.trainables.data.augment import AUGMENTS
from thaw.trainables.messages import EpochRow
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.training import together
from thaw.trainables.training.loop import Training
from thaw.trainables.training.together import epoch_together

LARGE, SMALL = 28, 12
"""Images a batch, for three and for seven steps; neither is more than passes the frozen part at a time."""

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@pytest.fixture
def context(tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path) -> RunContext:
    weights, training = {"resnet18": str(resnet18_file)}, {"architecture": "resnet18"}
    context = prepare(small_config(tmp_path, squares, cache, weights=weights, training=training)).context
    return replace(context, augment=AUGMENTS["paper"], cache=replace(context.cache, directory=tmp_path / "activations"))


@pytest.mark.parametrize(
    ("depth", "activations", "precision", "launches", "sent"),
    [
        # A head trial: the batch is picked where the view lies, and nothing is sent.
        pytest.param(5, "auto", "fp32", 40, 0, id="stored"),
        # So are pixels; the changes of the view go there once.
        pytest.param(5, "off", "fp32", 130, 0, id="live"),
        pytest.param(4, "auto", "fp32", 140, 0, id="thawed"),
        # Besides these, trained weights are cast at each step; frozen ones were cast once.
        pytest.param(5, "auto", "bf16", 40, 0, id="stored in bf16"),
        pytest.param(4, "auto", "bf16", 140, 0, id="thawed in bf16"),
    ],
)
def test_a_step_waits_for_nothing_and_mixes_no_devices(
    context: RunContext, depth: int, activations: str, precision: str, launches: int, sent: int
) -> None:
    context = replace(context, precision=precision, cache=replace(context.cache, activations=activations))
    images, backbone = context.open_images(), resolve("resnet18", context.weights, context.images.size)
    trial = TrialConfig(architecture="resnet18", freeze_depth=depth, head_units=16, epochs=3, patience=0)
    counts = []
    with fake_cuda(backbone) as calls:
        for batch_size in (LARGE, SMALL):
            training = Training(trial.model_copy(update={"batch_size": batch_size}), context, images, CUDA)
            with gradients(training):
                row = training.epoch()
                assert isinstance(row, EpochRow) and training.validation_logits.device == CUDA
                before = calls.looks, calls.sent, calls.launches.total()
                training._train(2, 0)
                after = calls.looks, calls.sent, calls.launches.total()
            counts.append([b - a for a, b in zip(before, after, strict=True)])
            assert set(training.activations._on_device) == ({0, None} if activations == "auto" else set())
            assert all(weight.device == CUDA for weight in training.trained)
            frozen = {weight.dtype for weight in training.network.prefix.parameters()}
            assert frozen == {training.activations.dtype} == {DTYPES[precision]}
            steps = training.steps
    looks, copies, operations = ([count[kind] for count in counts] for kind in range(3))
    more = steps - 3
    assert looks[0] == looks[1], "a look at a number waits for the device"
    assert (copies[1] - copies[0]) / more == sent
    assert (operations[1] - operations[0]) / more <= launches
    print("launches a step:", (operations[1] - operations[0]) / more)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_heads_trained_together_share_their_launches(context: RunContext, precision: str) -> None:
    context = replace(context, precision=precision)
    images, backbone = context.open_images(), resolve("resnet18", context.weights, context.images.size)
    trial = TrialConfig(architecture="resnet18", freeze_depth=5, head_units=16, epochs=3, patience=0)
    counts: dict[int, list[tuple[int, int, int]]] = {2: [], 8: []}
    with fake_cuda(backbone) as calls:
        for batch_size in (LARGE, SMALL):
            config = trial.model_copy(update={"batch_size": batch_size})
            for heads, found in counts.items():
                group = [Training(config, context, images, CUDA) for _ in range(heads)]
                with gradients(group[0]):
                    assert all(isinstance(row, EpochRow) for row in epoch_together(group))
                    before = calls.looks, calls.sent, calls.launches.total()
                    together._train(group, [0] * heads)
                after = calls.looks, calls.sent, calls.launches.total()
                found.append((after[0] - before[0], after[1] - before[1], after[2] - before[2]))
        more = group[0].steps - 3
    launches = {}
    for heads, (few, many) in counts.items():
        assert few[:2] == many[:2], "no step looks at a number or sends anything"
        launches[heads] = (many[2] - few[2]) / more
        print(f"launches a step of {heads} heads:", launches[heads])
    # Inputs are picked and two masks are drawn for each head; all else is launched once for all.
    assert launches[8] - launches[2] == 6 * 3 and launches[8] <= 60
