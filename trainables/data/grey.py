"""Grey images with more than 8 bits: the values of black and white, one scale for a whole data set.

A 12-bit image in a 16-bit file is nearly black if white is 65,535, and images that are scaled one by one cannot be
compared. So the scale is determined from all images together, and new images are read with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from thaw.spaces.errors import ConfigError

Scale = tuple[float, float]
"""(black, white): the values that become 0 and 255; values outside are clipped."""

Scales = Mapping[str, Scale]
"""Kind of values, as in `KINDS` → scale."""

White = float | tuple[float, float] | None
"""``data.white``: the value of white, or (black, white); None to determine them from the data."""

KINDS = {"I;16": "integer", "I;16L": "integer", "I;16B": "integer", "I;16N": "integer", "I": "integer", "F": "float"}
"""Pillow's modes of more than 8 bits → kind of their values."""

DEPTHS = (8, 10, 12, 14, 16)
"""Usual bit depths of cameras and scanners."""

USUAL_WHITES = (1.0, 255.0, 65535.0)
"""Usual values of white in images of floats."""

MIN_USED_SHARE = 1 / 4
"""Fraction of a usual white that the largest value must exceed; neighbouring `DEPTHS` differ by the same factor."""

_SAMPLES = {("L", 8, 2): np.int8, ("I", 32, 1): np.uint32}
"""(mode, bits, sample format) of a TIFF whose values Pillow returns with the wrong signedness → their type."""

_BITS_PER_SAMPLE, _PHOTOMETRIC, _MAX_SAMPLE_VALUE, _SAMPLE_FORMAT = 258, 262, 281, 339
_WHITE_IS_ZERO = 0
_FULL_RANGE = ("JPEG2000", "PPM")
"""Formats that state their largest value, which Pillow scales to 65,535."""


@dataclass(frozen=True)
class Extent:
    """The range of values in one or several images.

    Args:
        low, high: the smallest and the largest value.
        bits: number of bits that the file states; 0 if it does not.
        images: number of images.
    """

    low: float
    high: float
    bits: int = 0
    images: int = 1


@dataclass(frozen=True, eq=False)
class GreyValues:
    """An image with more than 8 bits, as stored.

    Args:
        kind: a value of `KINDS`.
        values: (height, width).
        bits: see :class:`Extent`.
        inverted: whether small values are bright.
    """

    kind: str
    values: np.ndarray
    bits: int
    inverted: bool

    @property
    def extent(self) -> Extent:
        return Extent(float(self.values.min()), float(self.values.max()), self.bits)

    def eight_bits(self, scale: Scale) -> np.ndarray:
        """The values scaled to 0 to 255, uint8 (height, width)."""
        black, white = scale
        levels = np.rint((self.values.astype(np.float64) - black) * (255 / ((white - black) or 1)))
        levels = np.clip(levels, 0, 255).astype(np.uint8)
        return 255 - levels if self.inverted else levels


def grey_values(image: Image.Image, file: BinaryIO) -> GreyValues | None:
    """The values of an image, given with its file; None, without decoding, for an 8-bit or colour image."""
    tags = getattr(image, "tag_v2", {})
    bits, sample_format = (
        _first(tags.get(tag, default)) for tag, default in ((_BITS_PER_SAMPLE, 0), (_SAMPLE_FORMAT, 1))
    )
    samples = _SAMPLES.get((image.mode, bits, sample_format)) if tags else None
    kind = KINDS.get(image.mode, "integer" if samples else None)
    if kind is None:
        return None
    values = np.asarray(image)
    inverted = _first(tags.get(_PHOTOMETRIC, 1)) == _WHITE_IS_ZERO and image.mode in KINDS
    return GreyValues(kind, values.view(samples) if samples else values, _stated_bits(image, file, bits), inverted)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, tuple) and value else value


def _stated_bits(image: Image.Image, file: BinaryIO, bits: int) -> int:
    if image.format in _FULL_RANGE:
        return 16
    if image.format == "PNG":
        return _significant_bits(file)
    largest = _first(getattr(image, "tag_v2", {}).get(_MAX_SAMPLE_VALUE, 0))
    return int(largest).bit_length() if largest else bits if bits in (10, 12, 14) else 0


def _significant_bits(file: BinaryIO) -> int:
    """Significant bits of grey values by the ``sBIT`` chunk of a PNG; 0 if there is none."""
    file.seek(8)
    while len(head := file.read(8)) == 8:
        length, name = int.from_bytes(head[:4], "big"), head[4:]
        if name == b"sBIT":
            return min(16, (file.read(1) or b"\0")[0])
        if name in (b"IDAT", b"IEND"):
            break
        file.seek(length + 4, 1)
    return 0


def choose_scale(kind: str, extent: Extent, white: White = None) -> Scale:
    """Black and white for values of a kind.

    For integers from 0 on, white is the largest number of the bit depth (8, 10, 12, 14 or 16) that the largest value
    needs, or that the files state. For floats from 0 on, white is 1, 255 or 65,535, if the largest value is close
    enough. More than 16 bits have no usual depth: 0 is black and the largest value white. For negative numbers and
    other floats the smallest value is black and the largest white.

    Example:
        >>> choose_scale("integer", Extent(3, 3000))
        (0.0, 4095.0)
    """
    if isinstance(white, tuple):
        return white
    if white is not None:
        return min(0.0, extent.low), white
    if extent.low < 0:
        return extent.low, extent.high
    if kind == "float":
        usual = next((white for white in USUAL_WHITES if MIN_USED_SHARE * white < extent.high <= white), None)
        return (extent.low, extent.high) if usual is None else (0.0, usual)
    if extent.high >= 2**16:
        return 0.0, extent.high
    depth = next(bits for bits in DEPTHS if extent.high < 2**bits)
    return 0.0, 2.0 ** max(depth, extent.bits) - 1


@dataclass(frozen=True)
class Grey:
    """How the grey images of a data set with more than 8 bits are read.

    Args:
        scales: kind → (black, white); empty if there are no such images.
        extents: kind → range of the values.
        chosen: whether the scales are determined from the data; False if the user gave them.
    """

    scales: dict[str, Scale]
    extents: dict[str, Extent]
    chosen: bool = True

    @classmethod
    def of(cls, extents: Iterable[tuple[str, Extent]], white: White = None) -> Grey:
        """The scales for images of these kinds and extents."""
        joined: dict[str, Extent] = {}
        for kind, one in extents:
            other = joined.get(kind)
            joined[kind] = one if other is None else _join(other, one)
        scales = {kind: choose_scale(kind, extent, white) for kind, extent in sorted(joined.items())}
        return cls(scales, dict(sorted(joined.items())), white is None)

    def notes(self) -> list[str]:
        """Notes for the user, one sentence each."""
        return [self._note(kind, extent) for kind, extent in self.extents.items()]

    def _note(self, kind: str, extent: Extent) -> str:
        black, white = self.scales[kind]
        images = f"{extent.images} grey image{'s' if extent.images > 1 else ''} with more than 8 bits"
        found = f"values from {extent.low:g} to {extent.high:g}"
        if not self.chosen:
            cut = "" if black <= extent.low and extent.high <= white else "; values outside are clipped"
            return f"{images}, {found}: {black:g} is black and {white:g} white, as data.white sets{cut}"
        depth = (
            f" ({int(white + 1).bit_length() - 1} bits)" if kind == "integer" and black == 0 and white < 2**16 else ""
        )
        return (
            f"{images}, {found}: {black:g} is black and {white:g} white{depth} in all of them; data.white changes this"
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Grey:
        """The inverse of :meth:`to_dict`."""
        extents = {kind: Extent(**extent) for kind, extent in values["extents"].items()}
        return cls(scales_from(values["scales"]), extents, bool(values["chosen"]))


def _join(a: Extent, b: Extent) -> Extent:
    return Extent(min(a.low, b.low), max(a.high, b.high), max(a.bits, b.bits), a.images + b.images)


def scales_from(values: Any) -> dict[str, Scale]:
    """Scales from a JSON value.

    Raises:
        ConfigError: the value is not a mapping from kind to (black, white).
    """
    try:
        scales = {kind: (float(black), float(white)) for kind, (black, white) in values.items()}
    except (AttributeError, TypeError, ValueError, OverflowError):
        scales = {"": (0.0, 0.0)}
    if not scales.keys() <= set(KINDS.values()):
        raise ConfigError(
            f"must give (black, white) for integer or float, got {values!r}; export the model again", "grey"
        )
    return scales


_FULL_SCALES_0_1: dict[str, tuple[float, ...]] = {"integer": (65535,), "float": (1, 255, 65535)}


def scale_of_0_1(kind: str, extent: Extent) -> Scale:
    """The scale of Thaw 0.1.0, for its models: chosen for each image separately, the first usual one that fits."""
    white = next((scale for scale in _FULL_SCALES_0_1[kind] if extent.low >= 0 and extent.high <= scale), None)
    return (extent.low, extent.high) if white is None else (0.0, white)
