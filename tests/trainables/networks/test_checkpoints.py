"""Common forms of checkpoints: each is loaded completely, or refused with the reason."""

from __future__ import annotations

import argparse
import functools
import json
import re
import shutil
import zipfile
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import timm
import torch
from timm.models.resnet import BasicBlock, ResNet
from torch import Tensor, nn

from thaw.spaces import ConfigError
from thaw.trainables.networks.state_dicts import Fit, fit_state
from thaw.trainables.networks.weight_files import read_state
from thaw.trainables.networks.weights import load_pretrained

State = dict[str, Tensor]
KEY = "weights.net"
FIRST = "conv1.0.weight"


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_resnet", num_classes=3)


@pytest.fixture(scope="module")
def vit() -> nn.Module:
    torch.manual_seed(0)
    return timm.create_model("test_vit", num_classes=3)


@pytest.fixture(scope="module")
def state(network: nn.Module) -> State:
    return dict(network.state_dict())


def body(state: Mapping[str, Tensor]) -> State:
    return {name: tensor for name, tensor in state.items() if not name.startswith(("fc.", "head."))}


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> State:
    return {prefix + name: tensor for name, tensor in state.items()}


def other(state: Mapping[str, Tensor]) -> State:
    return {name: tensor + 1 for name, tensor in state.items()}


def fitted(content: Any, network: nn.Module, path: Path, key: str = KEY) -> Fit:
    """How the content of a file fits a network, all of it but the head."""
    torch.save(content, path)
    reading.append(path)
    try:
        return fit_state(read_state(path, key), network, list(body(network.state_dict())), {})
    finally:
        reading.clear()


class AttributeDict(dict[str, Any]):
    """As Lightning's, in which it keeps hyperparameters."""

    def __getattr__(self, name: str) -> Any:
        return self[name]


class Ordered(OrderedDict[str, Any]):
    def __setitem__(self, name: str, value: Any) -> None:
        assert not reading, "never made by reading a file"
        super().__setitem__(name, value)


class Several(list[Any]):
    def extend(self, values: Iterable[Any]) -> None:
        assert not reading, "never made by reading a file"
        super().extend(values)


reading: list[Path] = []
"""The file that is being read, if any."""


def attributed(state: State) -> Ordered:
    """An OrderedDict with attributes, as a state dict has its metadata."""
    found = Ordered(state)
    found._metadata = {"": {"version": 1}}  # type: ignore[attr-defined]
    return found


TAKEN: dict[str, Callable[[State], Any]] = {
    "Lightning": lambda s: {
        "state_dict": {**prefixed("net.", s), "criterion.weight": torch.ones(3)},
        "hyper_parameters": {"path": Path("x"), "optimizer": functools.partial(torch.optim.SGD, lr=1)},
        "callbacks": {"ModelCheckpoint": {"best_model_score": np.float64(3)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.ones(2)}}}],
    },
    "MoCo": lambda s: {
        "state_dict": prefixed("module.encoder_k.", other(s))
        | prefixed("module.encoder_q.", s)
        | {"queue": torch.ones(2)}
    },
    "MoCo v3": lambda s: prefixed("module.momentum_encoder.", other(s)) | prefixed("module.base_encoder.", s),
    "BYOL": lambda s: {"target_network": other(s), "online_network": s, "predictor": {"weight": torch.ones(2)}},
    "SimCLR": lambda s: prefixed("encoder.f.", body(s)) | {"g.0.weight": torch.ones(2)},
    "DINO": lambda s: {"student": prefixed("module.backbone.", other(s)), "teacher": prefixed("backbone.", s)},
    **{
        name: lambda s, name=name: {"model": other(s), name: s}
        for name in ("model_ema", "ema_state_dict", "params_ema", "state_dict_ema", "swa_state_dict")
    },
    "averaged model": lambda s: {"n_averaged": torch.tensor(4), **prefixed("module.", s)},
    "compiled within data parallelism": lambda s: {"state_dict": prefixed("module._orig_mod.", s)},
    "FSDP": lambda s: {name.replace("layer1.", "layer1._fsdp_wrapped_module."): tensor for name, tensor in s.items()},
    "DeepSpeed": lambda s: {"module": prefixed("model.", s), "optimizer": None, "param_shapes": [torch.Size([1])]},
    "training script": lambda s: {"args": argparse.Namespace(out=Path("x")), "model": s, "best": np.float32(1)},
    "parameters": lambda s: {n: nn.Parameter(t) if t.is_floating_point() else t for n, t in s.items()},
    "channels last": lambda s: {n: t.to(memory_format=torch.channels_last) if t.ndim == 4 else t for n, t in s.items()},
    "float64": lambda s: {n: t.double() if t.is_floating_point() else t for n, t in s.items()},
    "Lightning's hyperparameters": lambda s: {
        "state_dict": s,
        "hyper_parameters": AttributeDict(lr=0.1, layers=AttributeDict(first=1), args=argparse.Namespace(a=[1])),
    },
    "dictionaries of other kinds": lambda s: AttributeDict(state_dict=attributed(s), seen=defaultdict(list, a=[1])),
    "lists of another kind": lambda s: {"losses": Several([0.5, Several()]), "model": Ordered(s)},
    "two equal copies": lambda s: {"a": s, "b": s},
}


@pytest.mark.parametrize("kind", TAKEN)
def test_taken(kind: str, network: nn.Module, state: State, tmp_path: Path) -> None:
    fit = fitted(TAKEN[kind](state), network, tmp_path / "weights.ckpt")
    assert fit.complete and not fit.rivals
    assert all(torch.equal(fit.state[name], tensor) for name, tensor in body(state).items())
    assert not any(tensor.requires_grad for tensor in fit.state.values())


def numbered(state: State) -> State:
    """As fastai names a body: by position."""
    return {f"0.{number}.{name.rpartition('.')[2]}": tensor for number, (name, tensor) in enumerate(state.items())}


NOT_FITTING: dict[str, tuple[Callable[[State], Any], str]] = {
    "fastai": (lambda s: {"model": numbered(s), "opt": {"state": [{}]}}, r"0 of \d+ .*first: model.0.0.weight"),
    "quantised": (
        lambda s: {n: torch.quantize_per_tensor(t, 0.1, 0, torch.qint8) if t.ndim == 4 else t for n, t in s.items()},
        f"{FIRST} torch.qint8, not torch.float32",
    ),
    "eight bits": (lambda s: {**s, "bn1.weight": s["bn1.weight"].to(torch.int8)}, "torch.int8, not torch.float32"),
    "float8": (lambda s: {**s, "bn1.weight": s["bn1.weight"].to(torch.float8_e4m3fn)}, "1 of another .*float8_e4m3fn"),
    "sparse": (lambda s: {**s, FIRST: s[FIRST].to_sparse()}, "torch.sparse_coo, not dense"),
    "greyscale": (lambda s: {**s, FIRST: s[FIRST][:, :1]}, rf"{FIRST} \(\d+, 1, .*not \(\d+, 3, "),
    "another width": (
        lambda s: {n: t.repeat(2) if t.ndim == 1 else t for n, t in s.items()},
        r"conv1.1.weight \(\d+,\), not",
    ),
    "DeepSpeed without its parts": (lambda s: {"module": {n: torch.ones(0) for n in s}}, r"\(0,\), not"),
    "adapters": (
        lambda s: {
            n.replace("layer2.0.conv1.", "layer2.0.conv1.base_layer."): t for n, t in prefixed("base.", s).items()
        },
        r"1 missing \(first: layer2.0.conv1.weight\)",
    ),
    "only counters": (lambda s: {"0": torch.ones(2)}, r"0 of \d+ tensors matched"),
}


@pytest.mark.parametrize("kind", NOT_FITTING)
def test_what_does_not_fit_is_not_taken(kind: str, network: nn.Module, state: State, tmp_path: Path) -> None:
    content, reason = NOT_FITTING[kind]
    fit = fitted(content(state), network, tmp_path / "weights.pth")
    assert not fit.complete and re.search(reason, str(fit)), str(fit)


def archive(path: Path, name: str) -> None:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(name, "x")


def torn(path: Path) -> None:
    torch.save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:2000])


UNREADABLE: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "an empty file"),
    "torn": (torn, "failed finding central directory; save"),
    "zip": (lambda path: archive(path, "readme.txt"), "a zip archive that torch.save has not written"),
    "JAX": (lambda path: np.savez(path.open("wb"), **{"Transformer/bias": np.ones(3)}), "a NumPy archive"),
    "Keras": (lambda path: path.write_bytes(b"\x89HDF\r\n\x1a\n"), "an HDF5 file"),
    "text": (lambda path: path.write_text("backbone: resnet18"), "a file of another kind"),
    "Git LFS": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "run `git lfs pull`"),
    "web page": (lambda path: path.write_text("\n<!DOCTYPE html>"), "a web page"),
    "module": (lambda path: torch.save(nn.Linear(2, 2), path), "an object of type torch.nn.modules.linear.Linear"),
    "modules": (
        lambda path: torch.save({"model": nn.Linear(2, 2), "epoch": 1}, path),
        "a dictionary with model, epoch",
    ),
    "without values": (lambda path: torch.save({"a": torch.ones(1, device="meta")}, path), "device meta"),
    "optimizer": (lambda path: torch.save({"state": {0: {"m": torch.ones(1)}}}, path), "a dictionary with state"),
    "folder": (Path.mkdir, "holds no weights file"),
    "DeepSpeed": (lambda path: (path.mkdir(), (path / "zero_to_fp32.py").touch()), "run its zero_to_fp32.py first"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_unreadable_files_are_refused(kind: str, tmp_path: Path) -> None:
    make, reason = UNREADABLE[kind]
    make(tmp_path / "weights")
    with pytest.raises(ConfigError, match=rf"^{KEY}: .*weights.*{re.escape(reason)}"):
        read_state(tmp_path / "weights", KEY)


def test_no_object_of_a_file_is_made(tmp_path: Path, state: State) -> None:
    """Neither by its class nor by a function that its pickle names."""

    class Copies:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return shutil.copyfile, (str(tmp_path / "weights.pth"), str(tmp_path / "copied"))

    torch.save({"model": state, "callback": Copies()}, tmp_path / "weights.pth")
    assert len(read_state(tmp_path / "weights.pth", KEY)) == len(state)
    assert not (tmp_path / "copied").exists()
    torch.load(tmp_path / "weights.pth", weights_only=False)
    assert (tmp_path / "copied").exists(), "the file would have run code"


def test_copies_that_differ_are_named(network: nn.Module, state: State, tmp_path: Path) -> None:
    assert fitted({"a": state, "b": other(state)}, network, tmp_path / "weights.pth").rivals == ["a.", "b."]
    name, file = "timm:test_resnet", tmp_path / "weights.pth"
    with pytest.raises(
        ConfigError, match=rf"weights.{name}: .* holds several networks that fit .*\(a., b.\); save one"
    ):
        load_pretrained(name, {name: str(file)}, 64)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e300])
def test_values_must_be_finite(value: float, state: State, tmp_path: Path) -> None:
    name, file = "timm:test_resnet", tmp_path / "weights.pth"
    broken = state["bn1.weight"].double()
    broken[0] = value
    torch.save({**state, "bn1.weight": broken}, file)
    with pytest.raises(ConfigError, match=r"values that are not finite numbers \(bn1.weight: 1 of \d+\)"):
        load_pretrained(name, {name: str(file)}, 64)


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_the_parts_of_a_snapshot_are_joined(suffix: str, state: State, tmp_path: Path) -> None:
    names = list(state)
    parts = {f"model-{number}.{suffix}": names[number::2] for number in range(2)}
    for file, part in parts.items():
        tensors = {name: state[name] for name in part}
        safetensors.torch.save_file(tensors, tmp_path / file) if suffix == "safetensors" else torch.save(
            tensors, tmp_path / file
        )
    index = tmp_path / f"model.{suffix}.index.json"
    index.write_text(json.dumps({"weight_map": {name: file for file, part in parts.items() for name in part}}))
    for place in (tmp_path, index):
        assert read_state(place, KEY).keys() == state.keys()
    (tmp_path / f"model-1.{suffix}").unlink()
    with pytest.raises(ConfigError, match=r"not next to it \(model-1"):
        read_state(tmp_path, KEY)
    index.write_text("[1]")
    with pytest.raises(ConfigError, match="under weight_map"):
        read_state(tmp_path, KEY)


def test_a_folder_of_a_training_script_holds_one_model(state: State, tmp_path: Path) -> None:
    for name in ("training_args.bin", "optimizer.bin", "scheduler.bin"):
        torch.save({"x": torch.ones(1)}, tmp_path / name)
    torch.save(state, tmp_path / "pytorch_model.bin")
    assert read_state(tmp_path, KEY).keys() == state.keys()


def test_dictionaries_may_contain_themselves_and_lie_deep(state: State, tmp_path: Path) -> None:
    circle: dict[str, Any] = {"model": state, "number": 3}
    circle |= {"again": circle, "once more": circle}
    torch.save(circle, tmp_path / "weights.pth")
    assert len(read_state(tmp_path / "weights.pth", KEY)) == len(state)


def test_the_suffix_does_not_matter(state: State, tmp_path: Path) -> None:
    safetensors.torch.save_file(state, tmp_path / "weights.bin")
    assert read_state(tmp_path / "weights.bin", KEY).keys() == state.keys()


TRANSFORMERS = {
    r"^cls_token$": "embeddings.cls_token",
    r"^pos_embed$": "embeddings.position_embeddings",
    r"^patch_embed\.proj\.": "embeddings.patch_embeddings.projection.",
    r"^blocks\.(\d+)\.norm1\.": r"encoder.layer.\1.layernorm_before.",
    r"^blocks\.(\d+)\.norm2\.": r"encoder.layer.\1.layernorm_after.",
    r"^blocks\.(\d+)\.attn\.proj\.": r"encoder.layer.\1.attention.output.dense.",
    r"^blocks\.(\d+)\.mlp\.fc1\.": r"encoder.layer.\1.intermediate.dense.",
    r"^blocks\.(\d+)\.mlp\.fc2\.": r"encoder.layer.\1.output.dense.",
    r"^norm\.": "layernorm.",
}
"""timm's name → that of transformers 5.24 for a ViT."""


def as_transformers(state: State) -> State:
    found: State = {}
    for name, tensor in state.items():
        for pattern, replacement in TRANSFORMERS.items():
            name = re.sub(pattern, replacement, name)
        if ".attn.qkv." in name:
            _, block, _, _, leaf = name.split(".")
            for part, third in zip(("query", "key", "value"), tensor.chunk(3), strict=True):
                found[f"encoder.layer.{block}.attention.attention.{part}.{leaf}"] = third
        else:
            found[name] = tensor
    return found


def test_a_vit_of_transformers_is_taken(vit: nn.Module, tmp_path: Path) -> None:
    state = body(vit.state_dict())
    named = as_transformers(state)
    assert not named.keys() & state.keys()
    fit = fitted(prefixed("vit.", named) | {"classifier.bias": torch.ones(3)}, vit, tmp_path / "weights.bin")
    assert fit.complete and all(torch.equal(fit.state[name], tensor) for name, tensor in state.items())
    assert str(fit) == f"{len(state)} of {len(state)} tensors matched under 'vit.', 1 unused (first: classifier.bias)"
    del named["encoder.layer.3.attention.attention.key.bias"]
    assert fitted(named, vit, tmp_path / "weights.bin").missing == ["blocks.3.attn.qkv.bias"]


def test_a_resnet_of_transformers_is_taken(tmp_path: Path) -> None:
    small = ResNet(BasicBlock, (1, 2, 1, 1), num_classes=0, channels=(8, 16, 32, 64))
    stage, layer = r"^layer(\d)\.(\d)\.", "encoder.stages.{}.layers.{}."
    state, named = small.state_dict(), {}
    for name, tensor in state.items():
        kind = "convolution" if re.search(r"conv\d|downsample\.0", name) else "normalization"
        found = re.search(stage, name)
        place = "embedder.embedder."
        if found:
            part = re.search(r"(?:conv|bn)(\d)", name)
            inner = f"layer.{int(part[1]) - 1}." if part else "shortcut."
            place = layer.format(int(found[1]) - 1, found[2]) + inner
        named[f"resnet.{place}{kind}.{name.rpartition('.')[2]}"] = tensor
    fit = fitted(named, small, tmp_path / "weights.bin")
    assert len(named) == len(state) and fit.complete
    assert all(torch.equal(fit.state[name], tensor) for name, tensor in state.items())


def test_names_of_other_implementations_are_reported_as_such(tmp_path: Path) -> None:
    name, file = "timm:test_vit", tmp_path / "weights.pth"
    torch.save({"vision_model.embeddings.class_embedding": torch.ones(64)}, file)
    with pytest.raises(ConfigError, match="0 of 78 tensors matched.*give weights under the names of timm, torchvision"):
        load_pretrained(name, {name: str(file)}, 160)


def test_position_embeddings_are_resampled_under_any_prefix(vit: nn.Module, tmp_path: Path) -> None:
    small = timm.create_model("test_vit", img_size=96)
    encoder = prefixed("model.backbone.", vit.state_dict())
    fit = fitted({"state_dict": encoder | {"model.decoder.weight": torch.ones(2)}}, small, tmp_path / "weights.pth")
    assert fit.complete and fit.resampled == ["pos_embed"]
    assert "1 resampled (first: pos_embed)" in str(fit)
