"""Number of images per forward pass where no gradients are needed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TypeVar

import torch

T = TypeVar("T")

MOST, LEAST = 32, 4
CPU_PIXELS = 16 * 128**2

SIZES = (32, 64, 128, 256, 512)
"""Images at a time that are tried on a GPU, which many images keep busier than few."""

WORTH = 0.95
"""A larger size must take less than this share of the time, as it takes twice the memory."""


def chunk_size(device: str, image_size: int) -> int:
    """Images per forward pass: 32; on a CPU fewer if they are large, so that the features of all fit in its caches.

    On a GPU, :class:`GrowingChunks` replaces it where many images are computed ahead.

    Measured with batch norm folded (:func:`~.folding.fold`), on two cores with 512 KiB of L2 cache each and 32 MiB of
    L3 cache (docs/performance.md): with images of 128 pixels, MobileNetV2 is 1.1 to 1.4 times as fast with 16 images
    as with 32; ResNet50 is equally fast with both.

    Args:
        device: ``cpu`` or ``cuda``.
        image_size: side of the square images in pixels.
    """
    return min(MOST, max(LEAST, CPU_PIXELS // image_size**2)) if device == "cpu" else MOST


class GrowingChunks:
    """The number of images at a time for one network on one device, found while it works through many images.

    It starts at the least of :data:`SIZES` and grows as long as that is faster and fits into memory. Of each size, the
    first pass is not measured: it loads and chooses kernels.

    Args:
        clock: time in seconds.

    Attributes:
        size: images at a time, as far as is known.

    ```python
    chunks = GrowingChunks()
    features = chunks.apply(len(images), lambda size: torch.cat([network(part) for part in images.split(size)]))
    ```
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.size = SIZES[0]
        self._clock = clock
        self._growing, self._warm = True, False
        self._best = math.inf

    def apply(self, images: int, work: Callable[[int], T]) -> T:
        """Do `work` on this many images, with the number of images at a time as its argument.

        It must have waited for the device when it returns.

        Raises:
            torch.OutOfMemoryError: not even the least size fits into memory.
        """
        # Few images do not fill a large chunk, and the rest of it would be computed for nothing.
        least = min((size for size in SIZES if size >= images), default=self.size)
        if least < self.size:
            return work(least)
        started = self._clock()
        try:
            result = work(self.size)
        except torch.OutOfMemoryError:
            if self.size == SIZES[0]:
                raise
        else:
            if self._growing:
                self._note((self._clock() - started) / (self.size * math.ceil(images / self.size)))
            return result
        # Behind the handler, which keeps what the failed attempt had in memory.
        self._step_back()
        torch.cuda.empty_cache()
        return self.apply(images, work)

    def _note(self, seconds: float) -> None:
        """Learn from the time that an image took, those that fill the last chunk included."""
        if not self._warm:
            self._warm = True
        elif seconds > WORTH * self._best:
            self._step_back()
        else:
            self._best = seconds
            self._growing = self.size < SIZES[-1]
            if self._growing:
                self.size, self._warm = SIZES[SIZES.index(self.size) + 1], False

    def _step_back(self) -> None:
        self._growing = False
        self.size = SIZES[SIZES.index(self.size) - 1]
