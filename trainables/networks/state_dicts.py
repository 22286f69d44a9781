"""Third-party weights files: read without running code, and mapped to the names that a network uses."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from thaw.spaces import ConfigError

State = dict[str, Tensor]

WRAPPERS = (
    "state_dict_ema",
    "model_ema",
    "ema",
    "state_dict",
    "model_state_dict",
    "model",
    "net",
    "network",
    "weights",
)
"""Keys under which training scripts store a state dict among other things; averaged weights first, as in timm."""

PREFIXES = re.compile(r"^(module|model|backbone|encoder|network|net|_orig_mod)\.")
"""What wrappers add before every name: data parallelism, Lightning, detection frameworks, ``torch.compile``."""

MAX_PREFIXES = 4
"""Most prefixes in a row that are removed from a name."""

SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")
"""Suffixes of weights files in a folder, in the order in which they are looked for."""

SAVE = "save it by torch.save(model.state_dict(), path)"

COUNTER = "num_batches_tracked"
"""A counter of batch norm that no computation uses; old files lack it."""


def read_state(path: Path, key: str) -> State:
    """The tensors of a file, or of the only weights file in a folder, by name.

    Only tensors, numbers and text are ever unpickled, so no file can run code.

    Raises:
        ConfigError: the file is missing, damaged, or holds something else.
    """
    path = _file(path, key)
    rule = f"{path} must hold tensors by name and nothing else"
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything, KeyError and struct.error among others
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{rule}, got: {reason}; {SAVE}", key) from error
    state = _unwrapped(content)
    if state is None:
        keys = f"a dictionary with {', '.join(map(str, list(content)[:3]))}"
        raise ConfigError(f"{rule}, got {keys if isinstance(content, dict) else type(content)}; {SAVE}", key)
    return state


def _file(path: Path, key: str) -> Path:
    if path.is_dir():
        found = [file for suffix in SUFFIXES for file in sorted(path.glob(f"*{suffix}"))]
        if not found:
            raise ConfigError(f"the folder {path} holds no weights file ({', '.join(SUFFIXES)}); name the file", key)
        several = [file for file in found if file.suffix == found[0].suffix]
        if len(several) > 1:
            names = ", ".join(file.name for file in several[:3])
            raise ConfigError(f"the folder {path} holds several weights files ({names}); name one of them", key)
        return found[0]
    if not path.is_file():
        raise ConfigError(f"there is no weights file {path}; correct the path", key)
    return path


def _unwrapped(content: Any) -> State | None:
    """The state dict within the content of a file; None if there is none."""
    if not isinstance(content, Mapping):
        return None
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return dict(content)
    inner = (_unwrapped(content[name]) for name in WRAPPERS if name in content)
    return next((state for state in inner if state is not None), None)


@dataclass(frozen=True)
class Fit:
    """A file's tensors, matched with those that a network uses.

    Args:
        state: the tensors that fit, under the network's names; may include the classifier.
        used: number of tensors that the network uses.
        missing: names that the network uses and the file lacks.
        mismatched: names whose shape in the file differs, with both shapes.
        unused: names in the file that the network does not use, such as those of a classifier.
    """

    state: State
    used: int
    missing: list[str]
    mismatched: list[str]
    unused: list[str]

    @property
    def complete(self) -> bool:
        return not self.missing and not self.mismatched

    def __str__(self) -> str:
        """Such as "154 of 156 tensors matched, 2 missing (first: bn.weight), 4 unused (first: fc.weight)"."""
        matched = self.used - len(self.missing) - len(self.mismatched)
        parts = [f"{matched} of {self.used} tensors matched"]
        kinds = {"missing": self.missing, "of another shape": self.mismatched, "unused": self.unused}
        parts += [f"{len(names)} {kind} (first: {names[0]})" for kind, names in kinds.items() if names]
        return ", ".join(parts)


def fit_state(state: State, network: nn.Module, used: Collection[str], twin: Mapping[str, str]) -> Fit:
    """The best match of a file's tensors with those of a network.

    These are tried in turn until the match is complete: the names as they are; the names without prefixes of wrappers;
    the names of the same network in another package; timm's conversions of the formats in which its networks were
    published.

    Args:
        state: tensors of the file.
        network: on any device, such as ``meta``.
        used: names in the network's state dict that must be present: all but the classifier's.
        twin: names of the same network in another package → the network's own names.
    """
    best, own = None, network.state_dict()
    for candidate in _candidates(state, network, twin):
        fit = _compare(candidate, own, used)
        if best is None or len(fit.missing) + len(fit.mismatched) < len(best.missing) + len(best.mismatched):
            best = fit
        if best.complete:
            break
    assert best is not None
    return best


def _candidates(state: State, network: nn.Module, twin: Mapping[str, str]) -> Iterator[State]:
    stripped = [state]
    for _ in range(MAX_PREFIXES):
        shorter = {PREFIXES.sub("", name): tensor for name, tensor in stripped[-1].items()}
        if shorter.keys() == stripped[-1].keys():
            break
        stripped.append(shorter)
    yield from stripped
    for names in stripped:
        yield {twin.get(name, name): tensor for name, tensor in names.items()}
    adapt = getattr(sys.modules.get(type(network).__module__), "checkpoint_filter_fn", None)
    if adapt is not None:
        for names in stripped:
            try:
                yield dict(adapt(dict(names), network))
            except Exception:  # it expects the names of known formats
                continue


def _compare(state: State, own: Mapping[str, Tensor], used: Collection[str]) -> Fit:
    fitting: State = {}
    missing, mismatched = [], []
    for name, expected in own.items():
        tensor = state.get(name)
        if tensor is not None and _without_ones(tensor) == _without_ones(expected):
            fitting[name] = tensor.reshape(expected.shape)
        elif name not in used:
            continue
        elif tensor is not None:
            mismatched.append(f"{name} {tuple(tensor.shape)}, not {tuple(expected.shape)}")
        elif name.endswith(COUNTER):
            fitting[name] = torch.zeros((), dtype=torch.int64)
        else:
            missing.append(name)
    unused = [name for name in state if name not in fitting and name not in used]
    return Fit(fitting, len(used), missing, mismatched, unused)


def _without_ones(tensor: Tensor) -> list[int]:
    """Shape without lengths of 1, as a dense layer and a 1 × 1 convolution are equivalent."""
    return [length for length in tensor.shape if length != 1]
