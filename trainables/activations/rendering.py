"""Images as a network takes them, rendered on the device batch by batch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from thaw.trainables.activations.resident import RESIDENT, Resident, has_room
from thaw.trainables.context import RunContext
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.data.views import render, view_parameters
from thaw.trainables.networks.architecture import Preprocessing


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """`tensor` on the device, copied from pinned memory, so that the host does not wait for the copy."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor


SPARE = 5.0
"""Pixels may take a fifth of the memory that stored views may: training from pixels needs more memory itself."""


def resident_pixels(images: ImageStore, context: RunContext, device: torch.device) -> Resident | None:
    """The pixels of all training and validation images in the memory of a GPU; None where they do not fit."""
    rows = np.concatenate([context.split.train, context.split.validation])
    pixels = images.pixels.reshape(len(images.pixels), -1)
    if not has_room(SPARE * len(rows) * pixels.shape[1], device):
        return None
    return RESIDENT.get(("pixels", images.digest, pixels.shape, device), pixels, rows, torch.uint8, device)


class Rendering:
    """Some images in one view.

    What is known ahead is sent to the device at once: sent batch by batch, each step would begin with a copy.

    Args:
        rows: image numbers, in the order in which they are rendered.
        view: number of the view; None for no augmentation.
        context: augmentation and seed.
        images: the decoded images.
        pixels: those that are on the device already, at least `rows`; or None.
        preprocessing: of the network.
        device: device to render on.
    """

    def __init__(
        self,
        rows: np.ndarray,
        view: int | None,
        context: RunContext,
        images: ImageStore,
        pixels: Resident | None,
        preprocessing: Preprocessing,
        device: torch.device,
    ) -> None:
        self.rows, self.images, self.pixels = rows, images, pixels
        self.preprocessing, self.device = preprocessing, device
        self.matrices = self.positions = None
        if view is not None:
            self.matrices = send(view_parameters(context.augment, context.seed, view, rows), device)
        if pixels is not None:
            self.positions = send(torch.from_numpy(np.searchsorted(pixels.order, rows)), device)

    def __getitem__(self, part: slice) -> Tensor:
        """The images in this part of `rows`, as :func:`thaw.trainables.data.views.render` returns them."""
        if self.pixels is None or self.positions is None:
            pixels = send(torch.from_numpy(self.images.pixels[self.rows[part]]), self.device)
        else:
            pixels = self.pixels.values[self.positions[part]].view(-1, *self.images.pixels.shape[1:])
        matrices = None if self.matrices is None else self.matrices[part]
        return render(pixels, matrices, self.preprocessing.mean, self.preprocessing.std)
