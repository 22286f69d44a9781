"""The tensors of a file, matched with those that a network uses, whatever stands before or replaces their names."""

from __future__ import annotations

import contextlib
import re
import sys
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor, nn

from thaw.trainables.networks.hugging_face import renamed
from thaw.trainables.networks.weight_files import State

AVERAGED = {"ema", "swa", "averaged", "average", "teacher"}
"""Words in the name of the copy of a network that is better than the one in training; timm prefers it, too."""

LAGGING = {"momentum", "target", "student", "k"}
"""Words in the name of a copy that serves only to train another: MoCo, BYOL, DINO."""

COUNTER = "num_batches_tracked"
"""A counter of batch norm that no computation uses; old files lack it."""

MAX_LEVELS = 4
"""Most levels of names at which a whole network is looked for."""

PLAIN = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
"""Types of floating-point values that need no separate scale."""


@dataclass(frozen=True)
class Fit:
    """A file's tensors, matched with those that a network uses.

    Args:
        state: the tensors that fit, under the network's names; may include the classifier.
        used: number of tensors that the network uses.
        missing: names that the network uses and the file lacks.
        mismatched: names whose shape or type in the file differs, with both.
        unused: names in the file that the network does not use, such as those of a classifier.
        prefix: what precedes the network's names in the file.
        resampled: names whose tensors were resampled for this image size.
        rivals: prefixes of several networks in the file that fit equally well and differ; else empty.
    """

    state: State
    used: int
    missing: list[str]
    mismatched: list[str]
    unused: list[str]
    prefix: str = ""
    resampled: list[str] = field(default_factory=list)
    rivals: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        return not self.missing and not self.mismatched

    def __str__(self) -> str:
        """Such as "154 of 156 tensors matched, 2 missing (first: bn.weight), 4 unused (first: fc.weight)"."""
        matched = self.used - len(self.missing) - len(self.mismatched)
        parts = [f"{matched} of {self.used} tensors matched{f' under {self.prefix!r}' if self.prefix else ''}"]
        kinds = {
            "missing": self.missing,
            "of another shape or type": self.mismatched,
            "resampled": self.resampled,
            "unused": self.unused,
        }
        parts += [f"{len(names)} {kind} (first: {names[0]})" for kind, names in kinds.items() if names]
        return ", ".join(parts)


def fit_state(state: State, network: nn.Module, used: Collection[str], twin: Mapping[str, str]) -> Fit:
    """The best match of a file's tensors with those of a network.

    Whatever precedes the network's names is found by the names that follow it. These are tried in turn until a match is
    complete: the names as they are; the names of the same network in another package; those of Hugging Face's
    transformers; timm's conversions of the formats in which its networks were published. Of several copies of the
    network, an averaged one is preferred, and one that only served to train another is avoided.

    Args:
        state: tensors of the file.
        network: on any device, such as ``meta``.
        used: names in the network's state dict that must be present: all but the classifier's.
        twin: names of the same network in another package → the network's own names.
    """
    own, fits = network.state_dict(), []
    for forms in _forms(state, network, set(used), twin):
        fits += [_compare(form, own, used) for form in forms]
        complete = [fit for fit in fits if fit.complete]
        if complete:
            rank = min(_rank(fit.prefix) for fit in complete)
            first, *others = [fit for fit in complete if _rank(fit.prefix) == rank]
            rivals = [fit.prefix for fit in others if not _equal(first, fit)]
            return Fit(**{**vars(first), "rivals": [first.prefix, *rivals] if rivals else []})
    return min(fits, key=lambda fit: len(fit.missing) + len(fit.mismatched))


@dataclass(frozen=True)
class _Form:
    """What the tensors of a file are called if they are those of the network.

    Args:
        prefix: what precedes the names in the file.
        before: tensors of the file under the prefix.
        state: the same under names that the network may use.
        outside: names in the file without the prefix.
    """

    prefix: str
    before: State
    state: State
    outside: list[str]


def _form(names: State, prefix: str, convert: Callable[[State], State] = dict) -> _Form:
    before = {name[len(prefix) :]: tensor for name, tensor in names.items() if name.startswith(prefix)}
    return _Form(prefix, before, convert(before), [name for name in names if not name.startswith(prefix)])


def _forms(state: State, network: nn.Module, used: Collection[str], twin: Mapping[str, str]) -> Iterator[list[_Form]]:
    """The forms that a file may have, the surest first."""
    yield [_form(state, prefix) for prefix in _prefixes(state, used) or [""]]
    own_names = partial(_renamed, names=twin)
    yield [_form(state, prefix, own_names) for prefix in _prefixes(state, twin)]
    converted = renamed(state)
    yield [_form(converted, prefix) for prefix in _prefixes(converted, used)]
    adapt = getattr(sys.modules.get(type(network).__module__), "checkpoint_filter_fn", None)
    if adapt is not None:
        found = []
        for names in (state, converted):
            for prefix in dict.fromkeys([*_prefixes(names, used), *_roots(names)]):
                with contextlib.suppress(Exception):  # it expects the names of known formats
                    found.append(_form(names, prefix, lambda before: dict(adapt(dict(before), network))))
        yield found


def _renamed(state: State, names: Mapping[str, str]) -> State:
    return {names.get(name, name): tensor for name, tensor in state.items()}


def _prefixes(state: Iterable[str], names: Collection[str]) -> list[str]:
    """What precedes at least half of a network's names in a file, such as ``module.``."""
    counts: Counter[str] = Counter()
    for name in state:
        parts = name.split(".")
        for start in range(len(parts)):
            if ".".join(parts[start:]) in names:
                counts["".join(f"{part}." for part in parts[:start])] += 1
    return [prefix for prefix, count in counts.most_common() if 2 * count >= len(names)]


def _roots(state: Iterable[str], root: str = "", levels: int = MAX_LEVELS) -> list[str]:
    """Prefixes under which at least a third of the names stand, from the top."""
    below = [name[len(root) :] for name in state if name.startswith(root)]
    counts = Counter(name.partition(".")[0] for name in below if "." in name) if levels else Counter()
    large = [f"{root}{part}." for part, count in counts.items() if 3 * count >= len(below)]
    return [root, *(one for part in large for one in _roots(state, part, levels - 1))]


def _rank(prefix: str) -> int:
    """How much a copy of a network is preferred: 0 is best."""
    words = set(re.split(r"[._]", prefix))
    return 0 if words & AVERAGED else 2 if words & LAGGING else 1


def _equal(one: Fit, other: Fit) -> bool:
    return one.state.keys() == other.state.keys() and all(
        torch.equal(tensor, other.state[name]) for name, tensor in one.state.items()
    )


def _compare(form: _Form, own: Mapping[str, Tensor], used: Collection[str]) -> Fit:
    fitting: State = {}
    missing, mismatched, resampled = [], [], []
    for name, expected in own.items():
        tensor = form.state.get(name)
        if tensor is not None and not _difference(tensor, expected):
            fitting[name] = tensor.reshape(expected.shape)
            if name in form.before and form.before[name].numel() != tensor.numel():
                resampled.append(name)
        elif name not in used:
            continue
        elif tensor is not None:
            mismatched.append(f"{name} {_difference(tensor, expected)}")
        elif name.endswith(COUNTER) and f"{name.removesuffix(COUNTER)}running_mean" in form.state:
            fitting[name] = torch.zeros((), dtype=torch.int64)
        else:
            missing.append(name)
    unused = [form.prefix + name for name in form.state if name not in fitting and name not in used] + form.outside
    return Fit(fitting, len(used), missing, mismatched, unused, form.prefix, resampled)


def _difference(tensor: Tensor, expected: Tensor) -> str:
    """Why a tensor cannot take the place of another; empty if it can."""
    if _without_ones(tensor) != _without_ones(expected):
        return f"{tuple(tensor.shape)}, not {tuple(expected.shape)}"
    if tensor.layout != torch.strided:
        return f"{tensor.layout}, not dense"
    same = tensor.dtype in PLAIN if expected.is_floating_point() else not tensor.is_floating_point()
    return "" if same else f"{tensor.dtype}, not {expected.dtype}"


def _without_ones(tensor: Tensor) -> list[int]:
    """Shape without lengths of 1, as a dense layer and a 1 × 1 convolution are equivalent."""
    return [length for length in tensor.shape if length != 1]
