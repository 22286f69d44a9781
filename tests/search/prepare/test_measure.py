"""Short measurements: costs for every pair of the space, and a precision that is recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.searches import small_config
from thaw.search.prepare import measure
from thaw.search.prepare.measure import choose_precision, measure_epochs
from thaw.search.prepare.preflight import prepare
from thaw.search.prepare.provenance import provenance, recorded_precision
from thaw.spaces import ConfigError
from thaw.trainables.device import default_precision, precisions
from thaw.trainables.networks.table import architecture


def test_every_pair_of_the_space_has_a_cost(tmp_path: Path, squares: Path, cache: Path) -> None:
    torch.save(architecture("resnet18").build(64).state_dict(), tmp_path / "w.pth")
    space = {"architecture": ["convnet", "resnet18"], "freeze_depth": [0, 5]}
    config = small_config(
        tmp_path,
        squares,
        cache,
        space=space,
        training={"architecture": None},
        weights={"resnet18": str(tmp_path / "w.pth")},
    )
    prepared = prepare(config)
    costs = measure_epochs(prepared.config, prepared.context)
    assert set(costs) == {("convnet", 0), ("resnet18", 0), ("resnet18", 5)}
    assert 0 < costs["resnet18", 5] < costs["resnet18", 0]


def test_weights_that_give_no_finite_loss_are_named(tmp_path: Path, squares: Path, cache: Path) -> None:
    state = architecture("resnet18").build(64).state_dict()
    torch.save(state | {"bn1.running_var": -state["bn1.running_var"]}, tmp_path / "w.pth")
    weights, training = {"resnet18": str(tmp_path / "w.pth")}, {"architecture": "resnet18", "freeze_depth": 5}
    prepared = prepare(small_config(tmp_path, squares, cache, space={}, training=training, weights=weights))
    with pytest.raises(ConfigError, match=r"^weights: resnet18 at freeze depth 5 gives no finite loss .*check its wei"):
        measure_epochs(prepared.config, prepared.context)


def test_precision_auto_is_measured_by_architecture_and_recorded(tmp_path: Path, squares: Path, cache: Path) -> None:
    prepared = prepare(small_config(tmp_path, squares, cache, precision="auto"))
    chosen = prepared.context.precision
    assert isinstance(chosen, dict) and set(chosen) == {"convnet"} and set(chosen.values()) <= {"fp32", "bf16"}
    assert provenance(prepared)["precision"] == chosen
    assert prepared.context.precision_of("convnet") == chosen["convnet"]


@pytest.mark.parametrize(("share", "expected"), [(0.8, "bf16"), (0.95, "fp32"), (1.2, "fp32")])
def test_bf16_has_to_be_clearly_faster(
    share: float, expected: str, tmp_path: Path, squares: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepared = prepare(small_config(tmp_path, squares, cache))
    seconds = {"fp32": 1.0, "bf16": share}
    monkeypatch.setattr(measure, "_epoch_seconds", lambda config, context, *rest: seconds[context.precision])
    assert choose_precision(prepared.config, replace(prepared.context, precision="fp32")) == {"convnet": expected}


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [((1.0, 0.5, 0.3), "bf16"), ((1.0, 0.5, 0.49), "tf32"), ((1.0, 0.95, 0.8), "bf16"), ((1.0, 1.0, 1.0), "fp32")],
)
def test_each_step_away_from_float32_has_to_be_worth_it(seconds: tuple[float, ...], expected: str) -> None:
    assert measure._worthwhile(dict(zip(("fp32", "tf32", "bf16"), seconds, strict=True))) == expected


@pytest.mark.parametrize(("gpu", "device"), [(0, "cpu"), (0.5, "cuda")])
def test_measured_where_trials_run(
    gpu: float, device: str, tmp_path: Path, squares: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a machine with a GPU, trials without one are measured on the processor."""
    prepared = prepare(small_config(tmp_path, squares, cache))
    resources = prepared.config.resources.model_copy(update={"gpu": gpu})
    used: list[str] = []

    def training(trial: object, context: object, images: object, device: torch.device) -> object:
        used.append(device.type)
        raise InterruptedError

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: True)
    monkeypatch.setattr(measure, "Training", training)
    config = prepared.config.model_copy(update={"resources": resources})
    for task in (measure_epochs, choose_precision):
        with pytest.raises(InterruptedError):
            task(config, prepared.context)
    assert used == [device] * 2
    assert precisions(torch.device(device)) == (["fp32", "tf32", "bf16"] if gpu else ["fp32", "bf16"])


def test_tf32_is_the_default_of_gpus_that_have_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [default_precision(gpu) for gpu in (0, 0.25)] == ["fp32", "tf32"], "nodes may have what the driver lacks"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_tf32_supported", lambda: False)
    assert default_precision(1) == "fp32"


def test_a_run_of_0_1_0_continues_as_it_began() -> None:
    """It left TF32 to torch, which uses it for convolutions on a GPU but not on a processor."""
    cpu: dict = {"thaw": "0.1.0", "precision": "fp32", "hardware": {"gpus": []}}
    gpu = {**cpu, "hardware": {"gpus": ["some GPU"]}}
    assert recorded_precision(cpu) == "fp32" == recorded_precision({**gpu, "thaw": "0.2.0"})
    assert recorded_precision(gpu) == "fp32 of 0.1.0"
    mixed = {**gpu, "precision": {"resnet50": "bf16", "convnet": "fp32"}}
    assert recorded_precision(mixed) == {"resnet50": "bf16", "convnet": "fp32 of 0.1.0"}
