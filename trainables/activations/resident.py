"""Stored views and pixels in GPU memory: copied there once, and kept for the trials of this process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from thaw.trainables.device_memory import memory_left

SHARE = 0.25
"""Share of a process's available GPU memory that all its views together may take; training needs the rest."""

SLICE = 64 * 2**20
"""Size in bytes of the pinned buffer through which a view is copied; the host never holds a second copy of the view."""


class Resident(NamedTuple):
    """Rows of a view on a device.

    Args:
        order: image numbers of the rows, ascending.
        values: one row per image, in the data type in which it is stored.
    """

    order: np.ndarray
    values: Tensor


class ResidentViews:
    """Views and pixels by key. To make room, the least recently used view is removed first."""

    def __init__(self) -> None:
        self._views: OrderedDict[Hashable, Resident] = OrderedDict()

    def get(
        self, key: Hashable, data: np.ndarray, rows: np.ndarray, dtype: torch.dtype, device: torch.device
    ) -> Resident | None:
        """At least `rows` of a view on the device; None if they do not fit and must be read from the file instead.

        Args:
            key: identifies the view within this process.
            data: uint8 (images, row bytes), which holds the rows; usually a mapped file.
            rows: image numbers. Rows already on the device are kept, as one view may serve training and validation.
            dtype: data type of the stored values.
            device: device to copy the rows to.
        """
        resident = self._views.pop(key, None)
        order = np.unique(rows) if resident is None else np.union1d(resident.order, rows)
        if resident is None or len(order) > len(resident.order):
            # Release the old rows first: the new ones may take their memory.
            resident = None
            if not self._make_room(len(order) * data.shape[1], device):
                return None
            try:
                resident = Resident(order, _copy_rows(data, order, device).view(dtype))
            except torch.OutOfMemoryError:  # another process took the memory first
                return None
        self._views[key] = resident
        return resident

    def clear(self) -> None:
        self._views.clear()

    def _make_room(self, size: int, device: torch.device) -> bool:
        used = sum(view.values.nbytes for view in self._views.values())
        room = _room(device, used)
        if size > room:
            return False
        while used + size > room:
            _, oldest = self._views.popitem(last=False)
            used -= oldest.values.nbytes
        return True


RESIDENT = ResidentViews()
"""The resident views of this process, which its trials share."""


def has_room(size: float, device: torch.device) -> bool:
    """Whether a view of `size` bytes would fit on the device."""
    return size <= _room(device, 0)


def _room(device: torch.device, used: int) -> float:
    """Bytes that all views together may take; none on a CPU, which reads the memory-mapped files as fast."""
    return SHARE * (memory_left(device) + used) if device.type == "cuda" else 0.0


def _copy_rows(data: np.ndarray, order: np.ndarray, device: torch.device) -> Tensor:
    """Copy rows of a view to the device: uint8 (len(order), row bytes)."""
    copied = torch.empty(len(order), data.shape[1], dtype=torch.uint8, device=device)
    step = min(len(order), max(1, SLICE // data.shape[1]))
    buffer = torch.empty(step, data.shape[1], dtype=torch.uint8)
    if device.type == "cuda":
        buffer = buffer.pin_memory()
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        part = buffer[: len(rows)]
        np.take(data, rows, axis=0, out=part.numpy())
        # Blocks until the copy is done, as the buffer is then overwritten.
        copied[start : start + len(rows)].copy_(part)
    return copied
