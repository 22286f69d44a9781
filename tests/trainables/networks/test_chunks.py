"""The number of images that a GPU gets at a time, measured while it works; here with a simulated clock."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from thaw.trainables.networks.chunks import SIZES, GrowingChunks

BLOCK = 512


class Device:
    """A device with given seconds per image by chunk size, plus one second to warm up for each size."""

    def __init__(self, seconds: Mapping[int, float], fits: int = SIZES[-1]) -> None:
        self.seconds, self.fits = seconds, fits
        self.now = 0.0
        self.asked: list[int] = []

    def work(self, size: int, images: int = BLOCK) -> int:
        if size > self.fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        self.now += images * self.seconds[size] + (size not in self.asked)
        self.asked.append(size)
        return size


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        pytest.param([10, 5, 2.5, 1.3, 0.7], 512, id="ever faster"),
        pytest.param([10, 5, 4.9, 1, 1], 64, id="hardly faster"),
        pytest.param([10, 10, 1, 1, 1], 32, id="not faster at first"),
        pytest.param([10, 5, 2.5, 2.6, 1], 128, id="slower"),
    ],
)
def test_chunks_grow_while_that_is_faster(seconds: list[float], chosen: int) -> None:
    device = Device({size: one / 1000 for size, one in zip(SIZES, seconds, strict=True)})
    chunks = GrowingChunks(lambda: device.now)
    for _ in range(12):
        chunks.apply(BLOCK, device.work)
    assert chunks.size == device.asked[-1] == chosen
    assert all(device.asked.count(size) == 2 for size in set(device.asked) - {chosen}), (
        "once to warm up, once to measure"
    )


def test_few_images_get_a_small_chunk() -> None:
    device = Device(dict.fromkeys(SIZES, 0.0) | {32: 1.0})
    chunks = GrowingChunks(lambda: device.now)
    for _ in range(3):
        chunks.apply(BLOCK, device.work)
    assert chunks.size == 64
    for images, size in ((3, 32), (33, 64), (64, 64)):
        assert chunks.apply(images, device.work) == size


def test_what_does_not_fit_is_tried_once_and_neighbours_may_take_memory_later() -> None:
    device = Device({size: 1 / size for size in SIZES}, fits=128)
    chunks = GrowingChunks(lambda: device.now)
    for _ in range(12):
        chunks.apply(BLOCK, device.work)
    assert chunks.size == 128 and max(device.asked) == 128
    device.fits = 32
    assert chunks.apply(BLOCK, device.work) == 32 == chunks.size
    device.fits = 0
    with pytest.raises(torch.OutOfMemoryError):
        chunks.apply(BLOCK, device.work)
