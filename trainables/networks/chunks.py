"""How many images pass a network at a time where no gradients are needed."""

from __future__ import annotations

MOST, LEAST = 32, 4
CPU_PIXELS = 16 * 128**2


def chunk_size(device: str, image_size: int) -> int:
    """Images at a time: 32, on a processor fewer of large ones, so that its caches hold the features of all.

    Measured with batch norm folded (:func:`~.folding.fold`), on two cores with 512 KiB of L2 each and 32 MiB
    of L3, docs/performance.md: MobileNetV2 runs 1.1 to 1.4 times as fast by 16 images of 128 pixels as by 32, ResNet50
    as fast by either.

    Args:
        device: ``cpu`` or ``cuda``.
        image_size: side of the square images, pixels.
    """
    return min(MOST, max(LEAST, CPU_PIXELS // image_size**2)) if device == "cpu" else MOST
