"""A trial's memory is estimated, and searches that cannot fit are refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from tests.searches import small_config
from thaw.search.prepare import memory
from thaw.search.prepare.memory import check_memory, largest_trials, trial_bytes
from thaw.spaces import ConfigError
from thaw.trainables.device_memory import CONTEXT_BYTES
from thaw.trainables.networks.backbone import resolve


@pytest.mark.parametrize("name", ["resnet18", "timm:vit_tiny_patch16_224"])
def test_the_estimate_is_near_what_autograd_keeps(name: str) -> None:
    backbone, batch = resolve(name, "none", 64), 4
    layers = torch.nn.Sequential(*backbone.random_layers().values()).requires_grad_(True).train()
    weights = {weight.untyped_storage().data_ptr() for weight in layers.parameters()}
    kept: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        _ = layers(torch.randn(batch, 3, 64, 64))
    empty = trial_bytes(backbone.cost, 0, 0)
    assert 0.5 < (trial_bytes(backbone.cost, 0, batch) - empty) / sum(kept.values()) < 2
    assert empty == 16 * sum(weight.numel() for weight in layers.parameters())


def test_the_largest_trial_has_the_smallest_depth_and_the_largest_batch(
    tmp_path: Path, squares: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = {"architecture": ["convnet", "mobilenet_v2"], "freeze_depth": [2, 5], "batch_size": [16, 64]}
    config = small_config(tmp_path, squares, cache, space=space, training={"architecture": None})
    found = largest_trials(config)
    assert {name: values[1:] for name, values in found.items()} == {"convnet": (0, 64), "mobilenet_v2": (2, 64)}
    assert found["mobilenet_v2"][0] == trial_bytes(resolve("mobilenet_v2", "imagenet", 32).cost, 2, 64)
    check_memory(config)
    monkeypatch.setattr(memory, "_memory", lambda gpu: (found["mobilenet_v2"][0] - 1, "this machine", ""))
    words = "space.batch_size: a trial of mobilenet_v2 at freeze depth 2 with batches of 64 images"
    with pytest.raises(ConfigError, match=words):
        check_memory(config)


@pytest.mark.parametrize(
    ("gpu", "there"), [(0.25, 0.25 * 80e9 - CONTEXT_BYTES), (0.01, 0.4e9), (1.0, 80e9 - CONTEXT_BYTES)]
)
def test_a_trial_is_judged_by_its_share_of_the_gpu(
    gpu: float, there: float, tmp_path: Path, squares: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (30e9, 80e9))
    config = small_config(tmp_path, squares, cache, weights="none", resources={"gpu": gpu})
    for needed in (there * 0.99, there * 1.01):
        monkeypatch.setattr(memory, "largest_trials", lambda config, needed=needed: {"convnet": (needed, 0, 32)})
        if needed <= there:
            check_memory(config)
            continue
        with pytest.raises(ConfigError, match=r"or more, its (share of the )?GPU") as error:
            check_memory(config)
        assert ("give it a larger share" in str(error.value)) == (gpu < 1)
    # Without a share of a GPU its memory does not count, and that of other nodes is not known.
    monkeypatch.setattr(memory, "largest_trials", lambda config: {"convnet": (1e15, 0, 32)})
    with pytest.raises(ConfigError, match="this machine has"):
        check_memory(config.model_copy(update={"resources": config.resources.model_copy(update={"gpu": 0})}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    check_memory(config)
