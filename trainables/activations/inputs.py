"""Inputs of the trained part of a network: the frozen prefix applied to rendered images, computed once and stored.

Of all that a search varies, the output of the frozen prefix depends on architecture and freeze depth alone, so trials
share it. The idea is that of Nautilus (Nakandala & Kumar 2022) and Alsatian (2025). Stored rows are exact:
bit-identical to what a trial computes without the store (fp32, CPU).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from thaw.spaces import TrialConfig
from thaw.trainables.activations.budget import admit
from thaw.trainables.activations.filling import describe
from thaw.trainables.activations.plan import plan, reading_place, stored_type
from thaw.trainables.activations.rendering import Rendering, resident_pixels, send
from thaw.trainables.activations.resident import RESIDENT, Resident
from thaw.trainables.activations.shared import SharedView
from thaw.trainables.activations.store import StoredView
from thaw.trainables.context import RunContext
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.data.in_use import hold
from thaw.trainables.device import ARITHMETIC, autocast
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.chunks import GrowingChunks, chunk_size
from thaw.trainables.networks.freezing import Network, run_prefix
from thaw.trainables.networks.layout import channels_first

VERSION = 3
"""Part of every key. Increase it with every change of the code that changes the activations of the same images."""


class Activations:
    """Provides a trial's inputs, read from the store where that pays off, else computed live, with equal values.

    Args:
        config: the trial's configuration.
        network: the network whose prefix is applied.
        context: preprocessing, views and cache options.
        images: the decoded images.
        device: where to compute.

    Attributes:
        warning: what the user should know, or empty. It names no trial, so that it is shown once per search.
    """

    def __init__(
        self, config: TrialConfig, network: Network, context: RunContext, images: ImageStore, device: torch.device
    ) -> None:
        self.network, self.context, self.images, self.device = network, context, images, device
        backbone = resolve(config.architecture, context.weights, context.images.size)
        self.preprocessing = backbone.preprocessing
        self.precision = context.precision_of(config.architecture)
        self.dtype = stored_type(self.precision, context.cache.activations)
        self.frozen = config.freeze_depth > 0
        self.plan = None
        if self.frozen and context.cache.activations != "off":
            size = backbone.cost.size(config.freeze_depth) * self.dtype.itemsize * len(context.labels)
            place = reading_place(size, device)
            self.plan = plan(backbone.cost, config.freeze_depth, config.head_units, self.dtype, place)
        self.folder = context.cache.directory / self._key(config)
        self.source = f"{config.architecture} at freeze depth {config.freeze_depth}"
        self.warning = ""
        self._failed = False
        self._views: dict[int | None, StoredView] = {}
        self._on_device: dict[int | None, Resident] = {}
        self._pixels: Resident | None = None

    def _key(self, config: TrialConfig) -> str:
        """Hash of everything that the activations depend on, except the view, which names the file."""
        parts = [
            VERSION,
            self.images.digest,
            self.context.images.size,
            self.preprocessing.mean,
            self.preprocessing.std,
            config.architecture,
            self.network.weights_digest,
            config.freeze_depth,
            str(self.dtype),
            self.precision,
            self.device.type,
            *_platform(self.device.type),
            *([] if self.device.type == "cpu" else astuple(ARITHMETIC[self.precision])),
            *(["deterministic"] if self.device.type != "cpu" and self.context.deterministic else []),
        ]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()

    def prepare(self, rows: np.ndarray, view: int | None) -> None:
        """Store the activations of `rows` in one view, if that pays off and there is room.

        If the store fails in any way, activations are computed live, with a warning. A wrong value is never used. Where
        they are computed live, all pixels are moved to a GPU that has room for them.
        """
        view = self._effective(view)
        if self.context.views is None and view is not None:
            # A fresh view is used only once, and each one keeps files open and, on a GPU, memory occupied.
            for kept in (self._views, self._on_device):
                for old in kept.keys() - {view, None}:
                    del kept[old]
        if self.plan is not None and self.plan.stored and not self._failed:
            self._store(rows, view)
        if view not in self._views and self._pixels is None:
            self._pixels = resident_pixels(self.images, self.context, self.device)

    def _store(self, rows: np.ndarray, view: int | None) -> None:
        try:
            stored = self._open(view)
            if stored is None:
                cache = self.context.cache
                self.warning = (
                    f"cache.budget ({cache.budget / 1e9:.3g} GB) or the disk of {cache.directory} has no room for some "
                    "activations, which are computed live; raise it, or make room by `thaw cache --keep`"
                )
                return
            self._fill(stored, rows, lambda todo: self._computed(todo, view))
            self._views[view] = stored
        except OSError as error:
            self._views.clear()
            self._failed = True
            self.warning = f"activations are not stored: {error.strerror or error} ({self.context.cache.directory})"
            return
        self._on_device.pop(view, None)
        resident = RESIDENT.get((str(stored.path), self.device), stored.data, rows, self.dtype, self.device)
        if resident is not None:
            self._on_device[view] = resident

    def _fill(self, stored: StoredView, rows: np.ndarray, compute: Callable[[np.ndarray], np.ndarray]) -> None:
        exchange = self.context.cache.exchange
        if exchange is None:
            stored.fill(rows, compute)
            return
        shared = SharedView(stored, exchange, compute)
        shared.fill(rows)
        if shared.error:
            self.warning = f"each node computes all activations itself: {shared.error}"
        elif shared.slow:
            fetching, computing = (f"{1000 * seconds:.2g} s" for seconds in shared.slow)
            self.warning = (
                f"each node computes all activations of {self.source} itself: other nodes take {fetching} or "
                f"more to send 1,000 images, computing them takes {computing}"
            )

    def batch(self, rows: np.ndarray, view: int | None) -> Tensor:
        """Activations of the images `rows` in one view; with None, of the images without augmentation.

        Returns:
            (len(rows), …): images where nothing is frozen, else the output of the last frozen stage: feature maps,
            tokens or pooled features. Feature maps (N, C, H, W) are in channels_last layout.
        """
        return next(self.batches([rows], view))

    def batches(self, parts: Sequence[np.ndarray], view: int | None) -> Iterator[Tensor]:
        """Yield what :meth:`batch` returns for each of `parts`, in order."""
        view = self._effective(view)
        if view in self._on_device:
            resident = self._on_device[view]
            # All positions are sent at once: sent part by part, each step would begin with a copy.
            positions = torch.from_numpy(np.searchsorted(resident.order, np.concatenate(parts)))
            positions = send(positions, self.device)
            for part in positions.split([len(rows) for rows in parts]):
                yield self._shaped(resident.values[part])
            return
        stored = self._views.get(view)
        if stored is None:
            yield from self._live(parts, view, chunk_size(self.device.type, self.context.images.size))
            return
        for rows in parts:
            yield self._read(stored, rows)

    def _effective(self, view: int | None) -> int | None:
        return None if self.context.augment.is_identity else view

    def _live(self, parts: Sequence[np.ndarray], view: int | None, size: int) -> Iterator[Tensor]:
        """What :meth:`batches` yields, computed from pixels, `size` images at a time in the frozen part."""
        rows = np.concatenate(parts)
        images = Rendering(rows, view, self.context, self.images, self._pixels, self.preprocessing, self.device)
        first = 0
        for last in np.cumsum([len(part) for part in parts]).tolist():
            # Rendered in the prefix's own chunks: they stay in a CPU's cache, and memory does not grow with rows.
            chunks = (images[start : min(start + size, last)] for start in range(first, last, size))
            yield self._frozen_part(chunks, size) if self.frozen else images[first:last]
            first = last

    def _frozen_part(self, chunks: Iterable[Tensor], size: int) -> Tensor:
        with autocast(self.device, self.precision):
            return torch.cat([run_prefix(self.network.prefix, chunk, size) for chunk in chunks])

    def _computed(self, rows: np.ndarray, view: int | None) -> np.ndarray:
        """The activations of `rows` as they are stored."""

        def compute(size: int) -> np.ndarray:
            return self._bytes(next(self._live([rows], view, size)))

        if self.device.type == "cpu" or self.context.deterministic:
            return compute(chunk_size(self.device.type, self.context.images.size))
        return _chunks(self.network.prefix).apply(len(rows), compute)

    def _open(self, view: int | None) -> StoredView | None:
        """Open the view's files; None if there is no room for them."""
        assert self.plan is not None
        self.folder.mkdir(parents=True, exist_ok=True)
        hold(self.folder)
        describe(self.folder, self.source)
        recipe = "clean"
        if view is not None:
            draws = json.dumps([self.context.augment.model_dump(), self.context.seed, view])
            recipe = f"view-{hashlib.blake2b(draws.encode(), digest_size=8).hexdigest()}"
        file, images = self.folder / f"{recipe}.rows", len(self.images.usable)
        if not admit(file, images * self.plan.row_bytes, self.context.cache.budget):
            return None
        return _stored_view(str(file), images, self.plan.row_bytes)

    def _bytes(self, activations: Tensor) -> np.ndarray:
        """Activations as stored: feature maps in the order (height, width, channels), so that they are read as
        channels_last."""
        assert self.plan is not None
        if channels_first(self.plan.shape):
            activations = activations.permute(0, 2, 3, 1)
        activations = activations.to("cpu", self.dtype).contiguous()
        return activations.view(len(activations), -1).view(torch.uint8).numpy()

    def _read(self, stored: StoredView, rows: np.ndarray) -> Tensor:
        return self._shaped(send(torch.from_numpy(stored.data[rows]).view(self.dtype), self.device))

    def _shaped(self, values: Tensor) -> Tensor:
        """Stored rows as activations; half precision is converted to float32 on the device that holds them."""
        assert self.plan is not None
        if self.dtype == torch.float16:
            values = values.float()
        if not channels_first(self.plan.shape):
            return values.view(len(values), *self.plan.shape)
        channels, height, width = self.plan.shape
        return values.view(len(values), height, width, channels).permute(0, 3, 1, 2)


@lru_cache(maxsize=32)
def _chunks(prefix: nn.Module) -> GrowingChunks:
    """Of a frozen part, which the trials of a process share."""
    return GrowingChunks()


@cache
def _platform(device: str) -> tuple[object, ...]:
    """What else a network's output depends on, to the bit: instruction set and threads, or GPU; library versions."""
    libraries = tuple(version(name) for name in ("torch", "torchvision", "timm"))
    if device == "cpu":
        return torch.backends.cpu.get_cpu_capability(), torch.get_num_threads(), *libraries
    return torch.cuda.get_device_name(), *libraries


@lru_cache(maxsize=64)
def _stored_view(path: str, images: int, row_bytes: int) -> StoredView:
    """Open files, shared by the trials of one process."""
    return StoredView(Path(path), images, row_bytes)
