"""What enters the trained part of a network: the frozen prefix applied to rendered images, computed once and kept.

What leaves a frozen prefix depends on nothing that a search varies but architecture and freeze depth, so trials share
it. The idea is that of Nautilus (Nakandala & Kumar 2022) and Alsatian (2025); rows here are exact, equal to the bit to
what a trial without them computes (fp32, CPU).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from spaces import STAGES, TrialConfig
from trainables.activation_store import StoredView
from trainables.architectures import architecture, describe_stages, output_features
from trainables.cache_budget import admit, hold
from trainables.context import RunContext
from trainables.freezing import Network, run_prefix
from trainables.image_store import ImageStore
from trainables.views import render, view_parameters

VERSION = 1
"""Part of every key; raise it whenever the same images would give other activations."""

MIN_GAIN = 1.15
"""Storing pays from this factor on; below it the disk is better left to others."""

MACS_PER_BYTE = {"cpu": 25.0, "cuda": 5000.0}
"""Multiply-accumulates that a device does while the store delivers a byte: about 25 billion a second of one core, 10
trillion of a GPU, at 1 and 2 GB/s. Only the order of magnitude counts."""

STORED_AS = {"auto": torch.float32, "fp16": torch.float16}

DEVICE_SHARE = 0.25
"""Share of a GPU's free memory that one trial's activations may take."""


@dataclass(frozen=True)
class Plan:
    """Whether the activations at one freeze depth are worth storing.

    Args:
        shape: of one image's activations.
        row_bytes: on disk.
        gain: cost of a training step with the prefix computed each time over that with stored activations, estimated.
    """

    shape: tuple[int, ...]
    row_bytes: int
    gain: float

    @property
    def stored(self) -> bool:
        return self.gain >= MIN_GAIN


def stored_type(precision: str, activations: str) -> torch.dtype:
    """The type in which activations are stored: exact, unless half precision is chosen."""
    return torch.bfloat16 if precision == "bf16" else STORED_AS.get(activations, torch.float32)


@lru_cache
def plan(name: str, freeze_depth: int, image_size: int, head_units: int, dtype: torch.dtype, device: str) -> Plan:
    """The plan for one architecture and depth (1 to 5).

    A training step costs three forward passes of what is trained (forward, gradients of activations, gradients of
    weights) and one of what is frozen; stored activations replace the latter by reading.
    """
    stages = describe_stages(name, image_size)
    features = output_features(name, image_size)
    shape = (features,) if freeze_depth == STAGES else stages[freeze_depth - 1].shape
    row_bytes = int(np.prod(shape)) * dtype.itemsize
    trained = 3 * (sum(stage.macs for stage in stages[freeze_depth:]) + features * max(head_units, 1))
    frozen = sum(stage.macs for stage in stages[:freeze_depth])
    return Plan(shape, row_bytes, (trained + frozen) / (trained + row_bytes * MACS_PER_BYTE[device]))


class Activations:
    """Gives a trial its inputs, from the store where that pays and live elsewhere; the numbers are the same.

    Args:
        config: the trial's configuration.
        network: its prefix is applied.
        context: preprocessing, views, and what may be stored.
        images: the decoded images.
        device: where to compute.
    """

    def __init__(
        self, config: TrialConfig, network: Network, context: RunContext, images: ImageStore, device: torch.device
    ) -> None:
        self.network, self.context, self.images, self.device = network, context, images, device
        self.row = architecture(config.architecture)
        self.precision = context.precision_of(config.architecture)
        self.dtype = stored_type(self.precision, context.cache.activations)
        self.plan = None
        if config.freeze_depth and context.cache.activations != "off":
            size = context.images.size
            self.plan = plan(config.architecture, config.freeze_depth, size, config.head_units, self.dtype, device.type)
        self.folder = context.cache.directory / self._key(config)
        self.warning = ""
        self._views: dict[int | None, StoredView] = {}
        self._on_device: dict[int | None, tuple[np.ndarray, Tensor]] = {}

    def _key(self, config: TrialConfig) -> str:
        """Names everything that the activations depend on, but the view, which names the file."""
        parts = [
            VERSION,
            self.images.digest,
            self.context.images.size,
            self.row.mean,
            self.row.std,
            config.architecture,
            self.network.weights_digest,
            config.freeze_depth,
            str(self.dtype),
            self.precision,
            self.device.type,
            torch.get_num_threads() if self.device.type == "cpu" else 0,
            torch.__version__,
        ]
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()

    def prepare(self, rows: np.ndarray, view: int | None) -> None:
        """Have the activations of `rows` in one view stored, if that pays and there is room.

        Whatever goes wrong with the store means computing live, with a warning: never a wrong number.
        """
        view = self._effective(view)
        if self.plan is None or not self.plan.stored or self.warning:
            return
        try:
            stored = self._open(view)
            missing = stored.missing(rows)
            if len(missing) and not admit(
                self.folder.parent, len(missing) * self.plan.row_bytes, self.context.cache.budget
            ):
                self._views.pop(view, None)
                return
            stored.fill(rows, lambda todo: self._bytes(self._live(todo, view)))
            self._views[view] = stored
        except OSError as error:
            self._views.clear()
            self.warning = f"activations are not stored: {error.strerror or error} ({self.folder})"
            return
        if self.device.type == "cuda":
            self._move(rows, view, stored)

    def batch(self, rows: np.ndarray, view: int | None) -> Tensor:
        """Activations of the images `rows` in one view; None is the clean image, not augmented.

        Returns:
            (len(rows), …): images where nothing is frozen, feature maps in channels_last layout, or pooled features.
        """
        view = self._effective(view)
        if view in self._on_device:
            order, tensor = self._on_device[view]
            return tensor[torch.from_numpy(np.searchsorted(order, rows)).to(self.device)]
        stored = self._views.get(view)
        return self._live(rows, view) if stored is None else self._stored(stored, rows)

    def _effective(self, view: int | None) -> int | None:
        return None if self.context.augment.is_identity else view

    def _live(self, rows: np.ndarray, view: int | None) -> Tensor:
        pixels = torch.from_numpy(self.images.pixels[rows])
        if self.device.type == "cuda":
            pixels = pixels.pin_memory().to(self.device, non_blocking=True)
        matrices = None
        if view is not None:
            matrices = view_parameters(self.context.augment, self.context.seed, view, rows).to(self.device)
        images = render(pixels, matrices, self.row.mean, self.row.std)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            return run_prefix(self.network.prefix, images)

    def _open(self, view: int | None) -> StoredView:
        assert self.plan is not None
        hold(self.folder)
        recipe = "clean"
        if view is not None:
            draws = json.dumps([asdict(self.context.augment), self.context.seed, view])
            recipe = f"view-{hashlib.blake2b(draws.encode(), digest_size=8).hexdigest()}"
        return _stored_view(str(self.folder / f"{recipe}.rows"), len(self.images.usable), self.plan.row_bytes)

    def _bytes(self, activations: Tensor) -> np.ndarray:
        """As stored: in the order (height, width, channels), so that reading gives channels_last."""
        if activations.ndim == 4:
            activations = activations.permute(0, 2, 3, 1)
        activations = activations.to("cpu", self.dtype).contiguous()
        return activations.view(len(activations), -1).view(torch.uint8).numpy()

    def _stored(self, stored: StoredView, rows: np.ndarray) -> Tensor:
        assert self.plan is not None
        values = torch.from_numpy(stored.data[rows]).view(self.dtype)
        if self.dtype == torch.float16:
            values = values.float()
        values = values.to(self.device)
        if len(self.plan.shape) == 1:
            return values
        channels, height, width = self.plan.shape
        return values.view(len(rows), height, width, channels).permute(0, 3, 1, 2)

    def _move(self, rows: np.ndarray, view: int | None, stored: StoredView) -> None:
        """Keep all of a view on the GPU, if it fits beside what the trial needs."""
        assert self.plan is not None
        free, _ = torch.cuda.mem_get_info(self.device)
        if len(rows) * self.plan.row_bytes <= DEVICE_SHARE * free:
            order = np.unique(rows)
            self._on_device[view] = order, self._stored(stored, order)


@lru_cache(maxsize=64)
def _stored_view(path: str, images: int, row_bytes: int) -> StoredView:
    """Open files, shared by the trials of one process."""
    return StoredView(Path(path), images, row_bytes)
