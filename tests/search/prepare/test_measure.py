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
from thaw.search.prepare.provenance import provenance
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
