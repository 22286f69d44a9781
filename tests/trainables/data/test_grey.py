"""Grey images with more than 8 bits share one scale, in training and in prediction."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from thaw.spaces import ConfigError
from thaw.trainables.data.decoding import Square, decode_image, measure
from thaw.trainables.data.grey import Extent, Grey, choose_scale, scale_of_0_1, scales_from
from thaw.trainables.data.image_store import ImageStore, open_store, sampled_grey


def ramp(low: float, high: float, dtype: Any) -> np.ndarray:
    """Columns from the smallest to the largest value."""
    return np.tile(np.linspace(low, high, 8), (8, 1)).astype(dtype)


def tiff(values: np.ndarray, **tags: int) -> bytes:
    """An uncompressed TIFF; `tags` as t281=4095."""
    data, kind = values.tobytes(), {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    entries = {
        256: 8,
        257: 8,
        258: 8 * values.itemsize,
        259: 1,
        262: 1,
        273: 8,
        277: 1,
        278: 8,
        279: len(data),
        339: kind,
    }
    entries |= {int(name[1:]): value for name, value in tags.items()}
    listed = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
    return b"II*\0" + struct.pack("<I", 8 + len(data)) + data + struct.pack("<H", len(entries)) + listed + bytes(4)


def png(values: np.ndarray, significant_bits: int = 0) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(values).save(stream, "PNG")
    content = stream.getvalue()
    if not significant_bits:
        return content
    chunk = b"sBIT" + bytes([significant_bits])
    # After the signature and the header.
    return content[:33] + struct.pack(">I", 1) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:]


def pgm(values: np.ndarray, largest: int) -> bytes:
    return f"P5\n8 8\n{largest}\n".encode() + values.astype(">u2").tobytes()


def store_of(folder: Path, contents: dict[str, bytes], white: Any = None) -> ImageStore:
    (folder / "images").mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / "images" / name).write_bytes(content)
    return open_store(folder / "images", list(contents), Square(8), white=white, directory=folder / "cache")


PNG_16, PNG_SBIT_12, TIFF, TIFF_MAX_4095 = png, partial(png, significant_bits=12), tiff, partial(tiff, t281=4095)


@pytest.mark.parametrize(
    ("images", "kind", "scale"),
    [
        ([(PNG_16, ramp(0, 4000, np.uint16)), (PNG_16, ramp(0, 900, np.uint16))], "integer", (0, 4095)),
        ([(PNG_16, ramp(0, 900, np.uint16))], "integer", (0, 1023)),
        ([(PNG_16, ramp(0, 255, np.uint16))], "integer", (0, 255)),
        ([(PNG_16, ramp(0, 16000, np.uint16))], "integer", (0, 16383)),
        ([(PNG_16, ramp(0, 16384, np.uint16))], "integer", (0, 65535)),
        ([(PNG_SBIT_12, ramp(0, 900, np.uint16))], "integer", (0, 4095)),
        ([(PNG_SBIT_12, ramp(0, 900, np.uint16)), (PNG_16, ramp(0, 800, np.uint16))], "integer", (0, 4095)),
        ([(PNG_SBIT_12, ramp(0, 65520, np.uint16))], "integer", (0, 65535)),
        ([(TIFF_MAX_4095, ramp(0, 900, np.uint16))], "integer", (0, 4095)),
        ([(TIFF, ramp(-1024, 3000, np.int16)), (TIFF, ramp(0, 2000, np.int16))], "integer", (-1024, 3000)),
        ([(TIFF, ramp(0, 3000, np.int16))], "integer", (0, 4095)),
        ([(TIFF, ramp(-100, 100, np.int8))], "integer", (-100, 100)),
        ([(TIFF, ramp(0, 3e9, np.uint32))], "integer", (0, 3e9)),
        ([(TIFF, ramp(0, 0.9, np.float32)), (TIFF, ramp(0, 0.1, np.float32))], "float", (0, 1)),
        ([(TIFF, ramp(0, 200, np.float32)), (TIFF, ramp(0, 0.1, np.float32))], "float", (0, 255)),
        ([(TIFF, ramp(270, 310, np.float32)), (TIFF, ramp(280, 320, np.float32))], "float", (270, 320)),
        ([(TIFF, ramp(0, 0.125, np.float32))], "float", (0, 0.125)),
    ],
)
def test_one_scale_from_all_images(
    images: list[tuple[Callable[[np.ndarray], bytes], np.ndarray]],
    kind: str,
    scale: tuple[float, float],
    tmp_path: Path,
) -> None:
    store = store_of(tmp_path, {f"{i}.png": write(values) for i, (write, values) in enumerate(images)})
    assert store.grey.scales == {kind: scale}
    black, white = scale
    for pixels, (_, values) in zip(store.pixels, images, strict=True):
        expected = np.rint((values.astype(np.float64) - black) * (255 / (white - black)))
        np.testing.assert_array_equal(pixels, np.repeat(expected[:, :, None], 3, axis=2))


def test_a_pgm_states_its_largest_value(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"a.pgm": pgm(ramp(0, 900, np.uint16), 4095)})
    assert store.pixels[0, 0, [0, 7], 0].tolist() == [0, round(900 / 4095 * 255)]


def test_each_kind_has_its_own_scale_and_8_bits_stay(tmp_path: Path) -> None:
    colour = io.BytesIO()
    Image.new("RGB", (8, 8), (200, 100, 50)).save(colour, "PNG")
    contents = {"a.png": png(ramp(0, 4000, np.uint16)), "b.png": colour.getvalue()}
    contents |= {"c.tif": tiff(ramp(0, 1, np.float32)), "d.png": png(ramp(0, 100, np.uint8))}
    store = store_of(tmp_path, contents)
    assert store.grey.scales == {"float": (0, 1), "integer": (0, 4095)}
    assert store.grey.extents["integer"].images == 1
    assert store.pixels[1, 0, 0].tolist() == [200, 100, 50] and store.pixels[3, 0, 7].tolist() == [100, 100, 100]


def test_white_is_zero(tmp_path: Path) -> None:
    store = store_of(tmp_path, {"a.tif": tiff(ramp(0, 4095, np.uint16), t262=0)})
    assert store.pixels[0, 0, [0, 7], 0].tolist() == [255, 0]


def test_the_user_may_set_white_and_values_outside_are_clipped(tmp_path: Path) -> None:
    contents = {"a.tif": tiff(ramp(-1024, 3000, np.int16))}
    auto, soft = store_of(tmp_path, contents), store_of(tmp_path, contents, (-200.0, 400.0))
    assert soft.grey.scales == {"integer": (-200, 400)} and soft.digest != auto.digest, "another store"
    assert soft.pixels[0, 0, [0, 7], 0].tolist() == [0, 255]
    assert "values outside are clipped" in soft.grey.notes()[0]
    assert store_of(tmp_path, contents, 2000.0).grey.scales == {"integer": (-1024, 2000)}
    assert store_of(tmp_path, contents).grey == auto.grey, "kept in the store"


def test_the_chosen_scale_gives_a_note(tmp_path: Path) -> None:
    store = store_of(tmp_path, {f"{i}.png": png(ramp(0, 4000, np.uint16)) for i in range(3)})
    [note] = store.grey.notes()
    assert note == (
        "3 grey images with more than 8 bits, values from 0 to 4000: 0 is black and 4095 white (12 bits) in all of "
        "them; data.white changes this"
    )
    assert sampled_grey(tmp_path / "images", ["0.png", "absent.png", "2.png"]).scales == {"integer": (0, 4095)}
    assert store_of(tmp_path, {"p.png": png(ramp(0, 9, np.uint8))}).grey.notes() == []


def test_new_images_are_read_by_the_scale_of_the_data(tmp_path: Path) -> None:
    file = tmp_path / "new.png"
    file.write_bytes(png(ramp(0, 8190, np.uint16)))
    row = decode_image(file, Square(8), scales={"integer": (0.0, 4095.0)})[0, :, 0]
    assert row[0] == 0 and (np.diff(row.astype(int)) >= 0).all() and (row[4:] == 255).all(), "clipped, not wrapped"
    assert decode_image(file, Square(8))[0, 7, 0] == round(8190 / 16383 * 255), "by its own values without a scale"
    assert decode_image(file, Square(8), scales=None)[0, 7, 0] == round(8190 / 65535 * 255), "as Thaw 0.1.0 did"
    assert measure(file) == ("integer", Extent(0, 8190))


@pytest.mark.parametrize(
    ("kind", "extent", "scale"),
    [
        ("integer", Extent(0, 9), (0, 65535)),
        ("integer", Extent(-1, 9), (-1, 9)),
        ("integer", Extent(0, 70000), (0, 70000)),
        ("float", Extent(0, 0.5), (0, 1)),
        ("float", Extent(0, 3), (0, 255)),
        ("float", Extent(0, 300), (0, 65535)),
    ],
)
def test_the_scales_of_0_1_stay(kind: str, extent: Extent, scale: tuple[float, float]) -> None:
    assert scale_of_0_1(kind, extent) == scale


def test_a_constant_image_is_valid() -> None:
    assert choose_scale("float", Extent(-3, -3)) == (-3, -3)
    assert Grey.of([("float", Extent(-3, -3))]).to_dict()["scales"] == {"float": (-3, -3)}


@pytest.mark.parametrize("values", [[1, 2], {"integer": 3}, {"colour": [0, 1]}, {"float": ["a", 1]}])
def test_damaged_scales(values: Any) -> None:
    with pytest.raises(ConfigError, match="must give .black, white."):
        scales_from(values)
