"""Files from others: none runs code, takes all memory, or controls the terminal. Search files have their own tests."""

from __future__ import annotations

import ast
import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.conftest import ROOT
from thaw.search.cli import app
from thaw.spaces import ConfigError, printable
from thaw.trainables.data.dataset import read_dataset
from thaw.trainables.networks.weights import load_pretrained
from thaw.trainables.training.checkpoint import read, read_best

PACKAGES = ("spaces", "trainables", "search", "analysis")
NAME = "mobilenet_v3_small"

YAML_FILES = ("yaml_file.py", "yaml_labels.py")
"""Files whose loaders only build plain values."""

FORBIDDEN = {
    "pickle": "unpickles",
    "eval": "runs text",
    "exec": "runs text",
    "system": "starts a shell",
    "popen": "starts a shell",
    "unsafe_load": "builds objects",
    "full_load": "builds objects",
    "extractall": "writes where an archive says",
}
"""Names that no call in Thaw ends with."""


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


PICKLES = {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal", "ForkingPickler"}
MAY_USE = {
    "search/backends/ray/by_value.py": {"cloudpickle.register_pickle_by_value"},
    "search/backends/local/backend.py": {"cloudpickle.dumps", "ForkingPickler.dumps"},
    "search/backends/local/server.py": {"ForkingPickler.loads"},
    "trainables/networks/weight_files.py": {"pickle.Unpickler"},
}
"""File → exceptions: in backends for data that the driver sends to its own workers, for weights a class that creates
no object named by a file."""


def test_no_call_in_thaw_runs_content_of_files() -> None:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            allowed = MAY_USE.get(str(file.relative_to(ROOT)), set())
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import | ast.ImportFrom):
                    names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
                    found = PICKLES & {part for name in names for part in name.split(".")}
                    assert found <= {name.partition(".")[0] for name in allowed}, file
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) in PICKLES:
                    assert ast.unparse(node) in allowed, f"{file}:{node.lineno}: it reads or writes pickles"
                if not isinstance(node, ast.Call):
                    continue
                options = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
                method_of_a_module = isinstance(node.func, ast.Attribute) and bool(node.args or node.keywords)
                if called(node) in FORBIDDEN and (method_of_a_module or isinstance(node.func, ast.Name)):
                    pytest.fail(f"{file}:{node.lineno}: {called(node)} {FORBIDDEN[called(node)]}")
                assert options.get("shell", "False") == "False", f"{file}:{node.lineno}"
                assert options.get("allow_pickle", "False") == "False", f"{file}:{node.lineno}"
                if ast.unparse(node.func) == "torch.load":
                    assert options.get("weights_only") == "True", f"{file}:{node.lineno}"
                if ast.unparse(node.func) == "yaml.load":
                    assert file.name in YAML_FILES, f"{file}:{node.lineno}: use parse_yaml or yaml.safe_load"


def test_pillows_limit_stands() -> None:
    import thaw.trainables.data.decoding

    assert thaw.trainables.data.decoding.Image.MAX_IMAGE_PIXELS == Image.MAX_IMAGE_PIXELS == 89_478_485


def lying(claimed: int, tensors: dict[str, object], content: bytes = b"") -> bytes:
    """A safetensors file with an arbitrary header."""
    header = json.dumps(tensors).encode()
    return struct.pack("<Q", claimed or len(header)) + header + content


TENSOR = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
LIES: dict[str, bytes] = {
    "a header of 16 EB": lying(2**63, {"a": TENSOR}, bytes(4)),
    "a header longer than the file": lying(10_000, {"a": TENSOR}, bytes(4)),
    "a tensor of 4 TB": lying(0, {"a": {**TENSOR, "shape": [10**12]}}, bytes(4)),
    "a tensor behind the end": lying(0, {"a": {**TENSOR, "shape": [10**9], "data_offsets": [0, 4 * 10**9]}}, bytes(4)),
    "two tensors in one place": lying(0, {"a": TENSOR, "b": TENSOR}, bytes(4)),
    "a shape that overflows": lying(0, {"a": {**TENSOR, "shape": [2**62, 2**62]}}, bytes(4)),
    "a pickle": pickle.dumps({"a": 1}),
    "a header nested 100,000 deep": struct.pack("<Q", 100_000) + b"[" * 100_000,
}


@pytest.mark.parametrize("content", LIES.values(), ids=LIES.keys())
def test_false_headers_are_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "last.safetensors"
    file.write_bytes(content)
    for reader in (read, read_best):
        with pytest.raises(ConfigError) as caught:
            reader(file)
        assert str(file) in str(caught.value)
    with pytest.raises(ConfigError, match=f"weights.{NAME}: .*last.safetensors"):
        load_pretrained(NAME, {NAME: str(file)}, 64)


def test_facts_nested_too_deep_are_a_damaged_checkpoint(tmp_path: Path) -> None:
    file = tmp_path / "best.safetensors"
    save_file({"a": torch.zeros(1)}, file, {"thaw": "[" * 100_000})
    with pytest.raises(ConfigError, match=r"best.safetensors"):
        read(file)


def test_a_small_file_cannot_claim_all_memory(tmp_path: Path) -> None:
    """A tensor of one number may have any shape: it is left out before names are compared or tensors are joined."""
    file = tmp_path / "weights.pth"
    huge = torch.zeros(1, dtype=torch.float16).expand(10**13)
    parts = {f"vit.encoder.layer.0.attention.attention.{part}.weight": huge for part in ("query", "key", "value")}
    torch.save({"features.0.0.weight": huge, "fc.bias": torch.zeros(2), **parts}, file)
    assert file.stat().st_size < 10_000
    with pytest.raises(ConfigError, match="does not fit"):
        load_pretrained(NAME, {NAME: str(file)}, 64)


class Malicious:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_no_pickle_is_read_as_a_checkpoint(tmp_path: Path) -> None:
    target, file = tmp_path / "made-by-the-pickle", tmp_path / "best.safetensors"
    for save in (
        lambda: torch.save({"a": Malicious(target)}, file),
        lambda: file.write_bytes(pickle.dumps(Malicious(target))),
    ):
        save()
        with pytest.raises(ConfigError):
            read_best(file)
    assert not target.exists()


def test_names_cannot_control_the_terminal(tmp_path: Path) -> None:
    from typer.testing import CliRunner

    (tmp_path / "labels.csv").write_text("a\x1b]0;owned\x07.jpg,[/red] \x1b[2Jdog\nb.jpg,cat\u202e\n")
    (tmp_path / "search.yaml").write_text("name: a\ndata: {images: images, labels: labels.csv}\n")
    shown = CliRunner().invoke(app, ["data", str(tmp_path / "search.yaml")])
    assert shown.exit_code == 0, shown.output
    assert "\x1b" not in shown.output and "\x07" not in shown.output and "\u202e" not in shown.output
    assert r"\x1b[2Jdog" in shown.output and "[/red]" in shown.output
    assert printable("ä\x1b\ud800\n") == "ä\\x1b\\ud800\n"
    assert read_dataset(tmp_path, tmp_path / "labels.csv").files[0].startswith("a\x1b"), "names themselves stay"
