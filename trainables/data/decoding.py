"""Decodes an image file into upright, square, 8-bit RGB, or gives the reason why it cannot."""

from __future__ import annotations

import io
import math
import stat
import struct
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from thaw.spaces.errors import ConfigError, did_you_mean
from thaw.trainables.data.grey import Extent, GreyValues, Scales, choose_scale, grey_values, scale_of_0_1

Image.init()
# Images above the limit are rejected below, with the file's name; Pillow's warning would only repeat it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
FORMATS = tuple(
    name
    for name in ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
    if name in Image.OPEN
)
"""The formats that are decoded. Pillow's others start programs (EPS) or are not pictures."""

LATER_FORMATS: dict[tuple[bytes, ...], str] = {
    (b"ftypavif", b"ftypavis"): "AVIF needs Pillow 11.3 or newer: pip install --upgrade pillow",
    (b"ftypheic", b"ftypheix", b"ftypheim", b"ftypheis", b"ftyphevc", b"ftyphevx", b"ftypmif1", b"ftypmsf1"): (
        "HEIC needs the package pillow-heif: pip install 'thaw-tune[heif]'"
    ),
}
"""Signatures, from the fifth byte on, of formats whose decoder may be missing → how to get it. File names do not help:
HEIC photos from phones are often called .jpg."""

INTERPOLATIONS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
"""``data.interpolation`` → Pillow's filter, which antialiases when it scales down."""

PADDING = (128, 128, 128)
"""Colour of padding: the mean of 0.5 by which all timm weights with the crop mode ``border`` are normalised."""


@dataclass(frozen=True)
class Square:
    """How an image of any shape becomes a square.

    Args:
        size: side of the square, pixels.
        resize: ``crop`` scales the short side and crops the centre, ``squash`` scales both sides, ``pad`` scales the
            long side and pads the short one; timm's crop modes ``center``, ``squash`` and ``border``.
        interpolation: a key of :data:`INTERPOLATIONS`.
        crop_pct: fraction of the short side (``crop``), of both sides (``squash``) or of the long side (``pad``) that
            is kept around the centre, in (0, 1]; the same as timm's.
    """

    size: int
    resize: str = "crop"
    interpolation: str = "bilinear"
    crop_pct: float = 1.0

    def __post_init__(self) -> None:
        for key, known in (("resize", RESIZE), ("interpolation", INTERPOLATIONS)):
            if (value := getattr(self, key)) not in known:
                raise ConfigError(f"unknown {key} {value!r}{did_you_mean(value, known)}", key)
        if not 0 < self.crop_pct <= 1:
            raise ConfigError(f"must be in (0, 1], got {self.crop_pct}", "crop_pct")

    def of(self, image: Image.Image) -> Image.Image:
        """The square of an image in RGB."""
        return RESIZE[self.resize](image, self)

    @property
    def useful_side(self) -> int:
        """Side of the source image, in pixels, above which a larger one hardly changes the square."""
        return math.ceil(2 * self.size / self.crop_pct)


def _crop(image: Image.Image, square: Square) -> Image.Image:
    border = (1 - square.crop_pct) / 2
    return ImageOps.fit(image, (square.size, square.size), INTERPOLATIONS[square.interpolation], bleed=border)


def _squash(image: Image.Image, square: Square) -> Image.Image:
    across, down = (side * (1 - square.crop_pct) / 2 for side in image.size)
    box = (across, down, image.width - across, image.height - down)
    return image.resize((square.size, square.size), INTERPOLATIONS[square.interpolation], box)


def _pad(image: Image.Image, square: Square) -> Image.Image:
    kept = max(image.size) * square.crop_pct
    across, down = (max(0.0, side - kept) / 2 for side in image.size)
    box = (across, down, image.width - across, image.height - down)
    size = [max(1, round(square.size * min(1.0, side / kept))) for side in image.size]
    middle = image.resize((size[0], size[1]), INTERPOLATIONS[square.interpolation], box)
    padded = Image.new("RGB", (square.size, square.size), PADDING)
    padded.paste(middle, ((square.size - size[0]) // 2, (square.size - size[1]) // 2))
    return padded


RESIZE: dict[str, Callable[[Image.Image, Square], Image.Image]] = {"crop": _crop, "squash": _squash, "pad": _pad}
"""``data.resize`` → function that makes the square."""


class Rejected(Exception):
    """An image cannot be used; the message is the reason.

    Args:
        temporary: the file may be readable later (a time-out, missing permission).
    """

    def __init__(self, reason: str, temporary: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.temporary = reason, temporary


def decode_image(path: Path | bytes, square: Square, scales: Scales | None = MappingProxyType({})) -> np.ndarray:
    """An image file, or the content of one, as uint8 RGB (size, size, 3).

    The image is rotated as EXIF says; transparent parts become white; of an animation the first frame is used. Scaling
    antialiases. A JPEG is decoded at a reduced size of at least twice the requested one.

    Args:
        square: how the image becomes a square.
        scales: scales of grey images with more than 8 bits. An image of a kind without a scale is scaled by its own
            values. None scales every image as Thaw 0.1.0 did.

    Raises:
        Rejected: the file is not an image, is damaged, has more pixels than Pillow's limit, or cannot be read.
    """
    with _opened(path) as (image, file):
        grey = grey_values(image, file)
        return square_pixels(image if grey is None else _scaled(image, grey, scales), square)


def decode_picture(picture: Image.Image | np.ndarray, square: Square) -> np.ndarray:
    """Like :func:`decode_image`, for an image that is already open or decoded.

    Args:
        picture: a Pillow image, or uint8 pixels (height, width), (height, width, 3) or (height, width, 4).

    Raises:
        Rejected: the array has another type or shape, the image has more than 8 bits, or it is damaged.
    """
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim not in (2, 3) or picture.shape[2:] not in ((), (3,), (4,)):
            kind = f"{picture.dtype} {picture.shape}"
            raise Rejected(f"an array must be uint8 (height, width), optionally with 3 or 4 channels, got {kind}")
        picture = Image.fromarray(picture)
    if not isinstance(picture, Image.Image):
        raise Rejected(f"must be a path, bytes, a Pillow image or an array, got {type(picture).__name__}")
    if picture.mode.startswith(("I", "F")):
        raise Rejected(f"an image of mode {picture.mode} has more than 8 bits; give its file, or scale it to 8 bits")
    try:
        return square_pixels(picture.copy(), square)
    except Rejected:
        raise
    except Exception as error:  # Pillow decodes here, and a decoder may raise anything
        raise Rejected(f"damaged: {error or type(error).__name__}") from error


def decode_or_measure(path: Path, square: Square) -> np.ndarray | tuple[str, Extent]:
    """Like :func:`decode_image`, but of a grey image with more than 8 bits only the kind and extent of its values."""
    with _opened(path) as (image, file):
        grey = grey_values(image, file)
        return square_pixels(image, square) if grey is None else (grey.kind, _extent(grey))


def measure(path: Path) -> tuple[str, Extent] | None:
    """Kind and extent of the values of a grey image with more than 8 bits; None for any other, which is not decoded.

    Raises:
        Rejected: as :func:`decode_image`.
    """
    _check_file(path)
    with _opened(path) as (image, file):
        grey = grey_values(image, file)
        return None if grey is None else (grey.kind, _extent(grey))


def size_of(path: Path) -> tuple[int, int]:
    """Width and height of an image, which is not decoded.

    Raises:
        Rejected: as :func:`decode_image`.
    """
    _check_file(path)
    with _opened(path) as (image, _):
        return image.size


def _check_file(path: Path) -> None:
    """Reject anything but a file with content: reading a pipe or a device might never end."""
    if isinstance(reason := file_identity(path), str):
        raise Rejected(reason)


@contextmanager
def _opened(path: Path | bytes) -> Iterator[tuple[Image.Image, BinaryIO]]:
    """An image, not loaded yet, and its file. Any error inside the context rejects the image."""
    try:
        with io.BytesIO(path) if isinstance(path, bytes) else path.open("rb") as file, _open(file) as image:
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise Rejected(f"{image.width} x {image.height} pixels are more than the limit of {limit}")
            yield image, file
    except Rejected:
        raise
    except UnidentifiedImageError as error:
        raise Rejected("not an image of a known format") from error
    except OSError as error:
        # Errors of the file system have an errno, Pillow's errors about damaged content do not.
        if error.errno is not None:
            raise Rejected(f"cannot be read: {error.strerror}", temporary=True) from error
        raise Rejected(f"damaged: {error}") from error
    except Exception as error:  # a decoder may raise anything on damaged content, and one file must not end a run
        raise Rejected(f"cannot be decoded: {error or type(error).__name__}") from error


def square_pixels(image: Image.Image, square: Square) -> np.ndarray:
    """The result of :func:`decode_image` for an 8-bit image, loaded or not."""
    if 0 in image.size:
        raise Rejected(f"{image.width} x {image.height} pixels are none")
    image.draft(None, (square.useful_side, square.useful_side))
    image.load()
    upright = _upright(image)
    if upright.has_transparency_data:
        colour = upright.convert("RGBA")
        upright = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
    return np.asarray(square.of(upright.convert("RGB")))


def _open(file: BinaryIO) -> Image.Image:
    try:
        return Image.open(file, formats=FORMATS)
    except UnidentifiedImageError:
        file.seek(0)
        brand = file.read(12)[4:]
        advice = next((advice for brands, advice in LATER_FORMATS.items() if brand.startswith(brands)), None)
        if advice is None:
            raise
        file.seek(0)
        return _open_heif(file, advice)


def _open_heif(file: BinaryIO, advice: str) -> Image.Image:
    """Opens a HEIF file with `pillow-heif`; imported only here, because the import costs time in every worker."""
    try:
        import pillow_heif
    except ImportError:
        raise Rejected(advice) from None
    pillow_heif.register_heif_opener()
    try:
        return Image.open(file, formats=["HEIF"])
    except UnidentifiedImageError:
        raise Rejected(advice) from None


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return image  # Only the orientation tag is damaged, not the pixels.


def _scaled(image: Image.Image, grey: GreyValues, scales: Scales | None) -> Image.Image:
    extent = _extent(grey)
    if scales is None:
        scale = scale_of_0_1(grey.kind, extent)
    else:
        scale = scales.get(grey.kind) or choose_scale(grey.kind, extent)
    scaled = Image.fromarray(grey.eight_bits(scale))
    scaled.info = {name: value for name, value in image.info.items() if name == "exif"}
    return scaled


def _extent(grey: GreyValues) -> Extent:
    if not np.isfinite(grey.values).all():
        raise Rejected("holds values that are not finite numbers")
    return grey.extent


def file_identity(path: Path) -> tuple[int, int] | str:
    """(size in bytes, modification time in nanoseconds), or the reason why there is nothing to decode."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return (status.st_size, status.st_mtime_ns) if status.st_size else "empty file"
