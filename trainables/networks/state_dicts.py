"""Weights files of others: read without running code, and brought to the names that a network uses."""

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
"""Keys under which training scripts keep a state dict among other things, the averaged weights first, as timm does."""

PREFIXES = re.compile(r"^(module|model|backbone|encoder|network|net|_orig_mod)\.")
"""What wrappers put before every name: data parallelism, Lightning, detection frameworks, ``torch.compile``."""

DEEPEST = 4
"""Prefixes that may stand one after another."""

SUFFIXES = (".safetensors", ".bin", ".pth", ".pt")
"""Of the files in a folder that may hold weights, in the order in which they are looked for."""

SAVE = "save it by torch.save(model.state_dict(), path)"

COUNTER = "num_batches_tracked"
"""A counter of batch norm that nothing is computed from; old files lack it."""


def read_state(path: Path, key: str) -> State:
    """The tensors of a file, or of the one weights file in a folder, by name.

    Nothing but tensors, numbers and text is ever made from a pickle, so no file can run code.

    Raises:
        ConfigError: the file is absent, damaged, or holds something else.
    """
    path = _file(path, key)
    rule = f"{path} must hold tensors by name and nothing else"
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with torch.serialization.safe_globals([argparse.Namespace]):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle fails in any way, as KeyError or struct.error among others
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
    """The state dict in what a file holds; None where there is none."""
    if not isinstance(content, Mapping):
        return None
    if content and all(isinstance(value, Tensor) for value in content.values()):
        return dict(content)
    inner = (_unwrapped(content[name]) for name in WRAPPERS if name in content)
    return next((state for state in inner if state is not None), None)


@dataclass(frozen=True)
class Fit:
    """A file's tensors beside those that a network uses.

    Args:
        state: those that fit, under the network's names; the classifier may be among them.
        used: how many tensors the network uses.
        missing: names that the network uses and the file lacks.
        unlike: names of another shape in the file, with both shapes.
        left: the file's names that the network has no use for, such as those of a classifier.
    """

    state: State
    used: int
    missing: list[str]
    unlike: list[str]
    left: list[str]

    @property
    def whole(self) -> bool:
        return not self.missing and not self.unlike

    def __str__(self) -> str:
        """Such as «154 of 156 tensors matched, 2 missing (first: bn.weight), 4 left (first: fc.weight)»."""
        matched = self.used - len(self.missing) - len(self.unlike)
        parts = [f"{matched} of {self.used} tensors matched"]
        kinds = {"missing": self.missing, "of another shape": self.unlike, "left": self.left}
        parts += [f"{len(names)} {kind} (first: {names[0]})" for kind, names in kinds.items() if names]
        return ", ".join(parts)


def fit_state(state: State, network: nn.Module, used: Collection[str], twin: Mapping[str, str]) -> Fit:
    """The best that can be made of a file's tensors for a network.

    Tried in turn until all that is used is there: the names as they are; without prefixes of wrappers; the names of
    the same network elsewhere; what timm knows of the formats in which its networks were published.

    Args:
        state: of the file.
        network: on any device, such as ``meta``.
        used: names in the network's state dict that have to be there: all but the classifier.
        twin: names of the same network in another package → the network's own.
    """
    best, own = None, network.state_dict()
    for candidate in _candidates(state, network, twin):
        fit = _compare(candidate, own, used)
        if best is None or len(fit.missing) + len(fit.unlike) < len(best.missing) + len(best.unlike):
            best = fit
        if best.whole:
            break
    assert best is not None
    return best


def _candidates(state: State, network: nn.Module, twin: Mapping[str, str]) -> Iterator[State]:
    stripped = [state]
    for _ in range(DEEPEST):
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
            except Exception:  # it takes the names of known formats for granted
                continue


def _compare(state: State, own: Mapping[str, Tensor], used: Collection[str]) -> Fit:
    fitting: State = {}
    missing, unlike = [], []
    for name, like in own.items():
        tensor = state.get(name)
        if tensor is not None and _without_ones(tensor) == _without_ones(like):
            fitting[name] = tensor.reshape(like.shape)
        elif name not in used:
            continue
        elif tensor is not None:
            unlike.append(f"{name} {tuple(tensor.shape)}, not {tuple(like.shape)}")
        elif name.endswith(COUNTER):
            fitting[name] = torch.zeros((), dtype=torch.int64)
        else:
            missing.append(name)
    return Fit(
        fitting, len(used), missing, unlike, [name for name in state if name not in fitting and name not in used]
    )


def _without_ones(tensor: Tensor) -> list[int]:
    """A dense layer and a convolution of one pixel are the same thing."""
    return [length for length in tensor.shape if length != 1]
