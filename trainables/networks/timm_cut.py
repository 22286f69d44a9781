"""Networks of timm, cut into five stages at points where only one tensor is passed on, whatever its shape."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from typing import Any

import torch
from torch import Tensor, nn

from thaw.spaces import STAGES
from thaw.spaces.words import counted
from thaw.trainables.networks.tracing import BATCHES, Trace

PROBE = 64
"""Side in pixels of the images with which a network that takes any size is traced."""


@dataclass(frozen=True)
class Atom:
    """The parts of a network between two neighbouring cuts.

    Args:
        end: the step after which it ends.
        parts: names of its parts, in forward order.
        kind: class of its last part.
        stride: side of the image over side of the feature maps, or of the grid that tokens form; a power of 2.
        weights: number of its weights.
    """

    end: int
    parts: tuple[str, ...]
    kind: type
    stride: int
    weights: int


def cut(network: Any, shadow: Any, image_size: int, own_pool: bool) -> tuple[list[nn.Module], nn.Module | None]:
    """Five stages in forward order, and the network's own pool.

    If the parts run in sequence with nothing between them, a stage is an ``nn.Sequential`` of them. Otherwise it is a
    graph that includes the operations between them, such as adding a position embedding.

    Args:
        network: a network of timm; its classifier is removed if its own pooling is used.
        shadow: the same network on ``meta``.
        image_size: side in pixels of the square images that it is to take.
        own_pool: always use the network's own pooling (``forward_head`` without the classifier); otherwise it is used
            only where the stages are not sequences of parts, or do not give feature maps (N, C, H, W).

    Returns:
        The stages, and the pool, or None for global average pooling.

    Raises:
        ValueError: the network cannot be cut; says why.
    """
    network.eval()
    side = image_size if network.pretrained_cfg.get("fixed_input_size") else PROBE
    try:
        trace = trace_features(network, shadow, side)
    except (RuntimeError, AssertionError):  # too small, or no multiple of what its parts need
        side = image_size
        trace = trace_features(network, shadow, side)
    atoms = _atoms(trace, side)
    groups = group(atoms)
    cuts = [run[-1].end for run in groups[:-1]]
    stages = trace.pieces(cuts)
    chained = all(isinstance(stage, nn.Sequential) for stage in stages)
    if not chained and side != image_size:
        # The graph may hold image sizes as constants.
        trace = trace_features(network, shadow, image_size)
        stages = trace.pieces(cuts)
    pool = None
    if own_pool or not chained or len(trace.shape(trace.end)) != 3 or _grid(trace.shape(trace.end))[0]:
        pool = _own_pool(network, shadow, trace.steps[trace.end].meta["values"])
    check_weights([*stages, *([] if pool is None else [pool])])
    if not next(network.parameters()).is_meta:
        _check_same(network, stages, pool, side if chained else image_size)
    return stages, pool


def trace_features(network: nn.Module, shadow: nn.Module, side: int) -> Trace:
    """The forward pass without the classifier."""
    one, other = (torch.empty(number, 3, side, side, device="meta") for number in BATCHES)
    return Trace(network, shadow, "forward_features", (one, other))


@torch.no_grad()
def _check_same(network: Any, stages: Sequence[nn.Module], pool: nn.Module | None, side: int) -> None:
    """Check that the stages in sequence give the output of the whole network, to the bit."""
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    features, expected = images.clone(), network.forward_features(images)
    for stage in stages:
        features = stage(features)
    if pool is not None:
        features, expected = pool(features), network.forward_head(expected, pre_logits=True).flatten(1)
    if not torch.equal(features, expected):
        raise ValueError("its stages run in sequence give other features than the whole network")


def _own_pool(network: Any, shadow: Any, features: tuple[Tensor, Tensor]) -> nn.Module:
    for model in (network, shadow):
        with torch.device(next(model.parameters()).device):
            model.reset_classifier(0)
        model.eval()
    trace = Trace(network, shadow, "forward_head", features, pre_logits=True)
    pool = trace.pieces([])[0]
    rank = len(trace.shape(trace.end))
    if rank == 1:
        return pool
    if rank != 3 or max(trace.shape(trace.end)[1:]) > 1:
        raise ValueError(f"its pooling gives {trace.shape(trace.end)} for an image, not a vector")
    return nn.Sequential(pool, nn.Flatten())


def _atoms(trace: Trace, side: int) -> list[Atom]:
    bounds = [0, *trace.cuts, trace.end]
    atoms: list[Atom] = []
    for start, end in pairwise(bounds):
        parts = tuple(trace.parts(start, end))
        if not parts:  # operations after the last part
            atoms[-1] = Atom(end, *(getattr(atoms[-1], name) for name in ("parts", "kind", "stride", "weights")))
            continue
        modules = [trace.network.get_submodule(name) for name in parts]
        weights = sum(p.numel() for module in modules for p in module.parameters())
        _, positions = _grid(trace.shape(end))
        # Parts before the first downsampling belong to the first stage.
        stride = max(2, 2 ** round(math.log2(side / math.sqrt(positions))))
        atoms.append(Atom(end, parts, type(modules[-1]), stride, weights))
    return atoms


def _grid(shape: Sequence[int]) -> tuple[bool, int]:
    """Whether the channels come last in one image's features, and the number of positions."""
    match tuple(shape):
        case (_, height, width) if height == width:
            return False, height * width
        case (height, width, _) if height == width:
            return True, height * width
        case (tokens, _):
            return True, tokens
    raise ValueError(f"a part gives {tuple(shape)} for an image, neither feature maps nor tokens")


def group(atoms: Sequence[Atom]) -> list[list[Atom]]:
    """Group the atoms into five runs: by output stride where it changes, by the number of blocks where it does not.

    Raises:
        ValueError: there are too few atoms.
    """
    if sum(atom.weights > 0 for atom in atoms) < STAGES:
        raise ValueError(
            f"it has {counted(len(atoms), 'part that passes', 'parts that pass')} on a single tensor, which is too few"
        )
    runs = [list(run) for _, run in groupby(atoms, key=lambda atom: atom.stride)]
    strides = [run[0].stride for run in runs]
    if len(runs) == 1 and (by_blocks := _split_by_blocks(atoms)):
        return by_blocks
    if strides == [4, 8, 16, 32]:
        # As in ConvNeXt: a stem of stride 4, which becomes the first stage, and four stages.
        top = [atom.parts[0].split(".")[0] for atom in runs[0]]
        stem = next((i for i, name in enumerate(top) if name != top[0]), 0)
        if _weights(runs[0][:stem]) and _weights(runs[0][stem:]):
            runs[:1] = [runs[0][:stem], runs[0][stem:]]
    runs = _weighted(runs)
    while len(runs) > STAGES:
        runs[:2] = [runs[0] + runs[1]]
    while len(runs) < STAGES:
        longest = max(range(len(runs)), key=lambda i: sum(atom.weights > 0 for atom in runs[i]))
        weighted = [i for i, atom in enumerate(runs[longest]) if atom.weights]
        middle = weighted[len(weighted) // 2]
        runs[longest : longest + 1] = [runs[longest][:middle], runs[longest][middle:]]
    return runs


def _split_by_blocks(atoms: Sequence[Atom]) -> list[list[Atom]]:
    """The stem with the first blocks, three runs of blocks, and the last blocks with what follows them.

    If the number of blocks is not divisible by five, the remainder goes to the runs after the first, which has the
    stem already.
    """
    kind = Counter(atom.kind for atom in atoms if atom.weights).most_common(1)[0][0]
    blocks = [i for i, atom in enumerate(atoms) if atom.kind is kind]
    if len(blocks) < STAGES:
        return []
    least, left = divmod(len(blocks), STAGES)
    starts, taken = [0], 0
    for run in range(STAGES - 1):
        taken += least + (1 <= run <= left)
        starts.append(blocks[taken])
    return [list(atoms[start:stop]) for start, stop in zip(starts, [*starts[1:], len(atoms)], strict=True)]


def _weighted(runs: Sequence[list[Atom]]) -> list[list[Atom]]:
    """Merge runs without weights, such as a pooling layer, into the next run; at the end into the one before."""
    joined: list[list[Atom]] = []
    waiting: list[Atom] = []
    for run in runs:
        waiting += run
        if _weights(run):
            joined.append(waiting)
            waiting = []
    joined[-1] += waiting
    return joined


def _weights(run: Sequence[Atom]) -> int:
    return sum(atom.weights for atom in run)


def check_weights(pieces: Sequence[nn.Module]) -> None:
    """Check that no weight belongs to two stages: frozen in one, it would be trained in the other.

    Raises:
        ValueError: a weight belongs to two; stages are counted from 1.
    """
    owner: dict[int, int] = {}
    for number, piece in enumerate(pieces, 1):
        for name, weight in piece.named_parameters():
            if owner.setdefault(id(weight), number) != number:
                raise ValueError(f"its weight {name} belongs to stages {owner[id(weight)]} and {number}")
