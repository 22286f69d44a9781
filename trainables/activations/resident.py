"""Stored views in a GPU's memory: moved there once, and kept for the trials of this process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from thaw.trainables.activations.store import StoredView
from thaw.trainables.device_memory import memory_left

SHARE = 0.25
"""Share of the memory that a process can take which all its views may have together; training needs the rest."""

SLICE = 64 * 2**20
"""Bytes of pinned memory through which a view is moved; the host never holds a second copy of it."""


class Resident(NamedTuple):
    """Rows of a view on a device.

    Args:
        order: their images, ascending.
        values: a row each, in the type in which they are stored.
    """

    order: np.ndarray
    values: Tensor


class ResidentViews:
    """The views by key; what was used longest ago goes first where room is needed."""

    def __init__(self) -> None:
        self._views: OrderedDict[Hashable, Resident] = OrderedDict()

    def get(
        self, key: Hashable, stored: StoredView, rows: np.ndarray, dtype: torch.dtype, device: torch.device
    ) -> Resident | None:
        """At least `rows` of a view on the device; None where they do not fit, and are read from the file instead.

        Args:
            key: names the view among all of this process.
            stored: holds the rows.
            rows: image numbers. Those that lie there already stay, as one view may serve training and validation.
            dtype: of the stored values.
            device: where they come to lie.
        """
        known = self._views.pop(key, None)
        order = np.unique(rows) if known is None else np.union1d(known.order, rows)
        if known is None or len(order) > len(known.order):
            # What follows may take the place of what was there.
            known = None
            if not self._make_room(len(order) * stored.row_bytes, device):
                return None
            try:
                known = Resident(order, _moved(stored, order, device).view(dtype))
            except torch.OutOfMemoryError:  # another process was faster
                return None
        self._views[key] = known
        return known

    def clear(self) -> None:
        self._views.clear()

    def _make_room(self, size: int, device: torch.device) -> bool:
        taken = sum(view.values.nbytes for view in self._views.values())
        room = _room(device, taken)
        if size > room:
            return False
        while taken + size > room:
            _, oldest = self._views.popitem(last=False)
            taken -= oldest.values.nbytes
        return True


RESIDENT = ResidentViews()
"""Those of this process: what one trial has moved the next one finds."""


def has_room(size: int, device: torch.device) -> bool:
    """Whether a view of so many bytes could lie on the device."""
    return size <= _room(device, 0)


def _room(device: torch.device, taken: int) -> float:
    """Bytes that all views may have. A processor reads the mapped files as fast."""
    return SHARE * (memory_left(device) + taken) if device.type == "cuda" else 0.0


def _moved(stored: StoredView, order: np.ndarray, device: torch.device) -> Tensor:
    """Rows of a view, uint8 (len(order), row bytes), on the device."""
    moved = torch.empty(len(order), stored.row_bytes, dtype=torch.uint8, device=device)
    step = min(len(order), max(1, SLICE // stored.row_bytes))
    buffer = torch.empty(step, stored.row_bytes, dtype=torch.uint8)
    if device.type == "cuda":
        buffer = buffer.pin_memory()
    for start in range(0, len(order), step):
        rows = order[start : start + step]
        part = buffer[: len(rows)]
        np.take(stored.data, rows, axis=0, out=part.numpy())
        # Waits for the copy: the buffer is written to again.
        moved[start : start + len(rows)].copy_(part)
    return moved
