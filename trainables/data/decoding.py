"""One image file: from whatever Pillow reads to upright, square, 8-bit RGB, or a reason why not."""

from __future__ import annotations

import stat
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

Image.init()
# More pixels than the limit are refused below, with the file's name; Pillow's own warning would only come beside it.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
FORMATS = tuple(
    name
    for name in ("AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "MPO", "PNG", "PPM", "TGA", "TIFF", "WEBP")
    if name in Image.OPEN
)
"""What is taken for an image; Pillow's others start programs (EPS) or are no pictures."""

FULL_SCALES: dict[str, tuple[float, ...]] = {
    "I;16": (65535,),
    "I;16L": (65535,),
    "I;16B": (65535,),
    "I": (65535,),
    "F": (1, 255, 65535),
}
"""Pillow's modes of more than 8 bits → values that may stand for white: the first that no pixel exceeds. Images with
larger or negative values are stretched from their own minimum to their own maximum, as no scale is known."""

RESIZE: dict[str, Callable[[Image.Image, tuple[int, int], Image.Resampling], Image.Image]] = {
    "crop": ImageOps.fit,
    "squash": Image.Image.resize,
}
"""``data.resize`` → ``crop``: the short side is scaled, the centre cropped; ``squash``: both sides are scaled."""


class Rejected(Exception):
    """An image cannot be used; the text says why.

    Args:
        passing: the file may be readable another time (a time-out, missing permission).
    """

    def __init__(self, reason: str, passing: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.passing = reason, passing


def decode_image(path: Path, size: int, resize: str = "crop") -> np.ndarray:
    """One image file as uint8 RGB (size, size, 3).

    Turned upright by EXIF; transparent parts on white; the first picture of an animation. Scaled with antialiasing
    (bilinear, as torchvision does); of a JPEG no more is decoded than twice the size needs.

    Raises:
        Rejected: the file is no image, is damaged, has more pixels than Pillow's limit, or cannot be read.
    """
    try:
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            limit = Image.MAX_IMAGE_PIXELS
            if limit is not None and image.width * image.height > limit:
                raise Rejected(f"{image.width} x {image.height} pixels are more than the limit of {limit}")
            image.draft(None, (2 * size, 2 * size))
            image.load()
            upright = _upright(_eight_bits(image) if image.mode in FULL_SCALES else image)
            if upright.has_transparency_data:
                colour = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", colour.size, "white"), colour)
            return np.asarray(RESIZE[resize](upright.convert("RGB"), (size, size), Image.Resampling.BILINEAR))
    except Rejected:
        raise
    except UnidentifiedImageError as error:
        raise Rejected("not an image of a known format") from error
    except OSError as error:
        # Errors of the file system have a number, Pillow's own about damaged content do not.
        if error.errno is not None:
            raise Rejected(f"cannot be read: {error.strerror}", passing=True) from error
        raise Rejected(f"damaged: {error}") from error
    except Exception as error:  # a decoder may raise anything when the file is broken, and one file must not end a run
        raise Rejected(f"cannot be decoded: {error or type(error).__name__}") from error


def _upright(image: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(image)
    except (SyntaxError, ValueError, TypeError, KeyError, struct.error):
        return image  # The pixels are good; only the note on how the camera was held is not.


def _eight_bits(image: Image.Image) -> Image.Image:
    values = np.asarray(image, np.float64)
    if not np.isfinite(values).all():
        raise Rejected("holds values that are not finite numbers")
    low, high = float(values.min()), float(values.max())
    white = next((scale for scale in FULL_SCALES[image.mode] if low >= 0 and high <= scale), None)
    if white is not None:
        low, high = 0.0, white
    scaled = Image.fromarray(np.rint((values - low) * (255 / ((high - low) or 1))).astype(np.uint8))
    scaled.info = {name: value for name, value in image.info.items() if name == "exif"}
    return scaled


def file_identity(path: Path) -> tuple[int, int] | str:
    """(bytes, nanoseconds of the last change), or why there is nothing to decode."""
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return "absent"
    except (OSError, ValueError) as error:
        return f"cannot be read: {getattr(error, 'strerror', None) or error}"
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    return (status.st_size, status.st_mtime_ns) if status.st_size else "empty file"
