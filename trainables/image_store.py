"""Decode once: every image of a data set as uint8 pixels in one file that all trials of a node read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import queue
import shutil
import stat
import struct
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from PIL import Image, ImageOps, UnidentifiedImageError

from spaces.errors import ConfigError, did_you_mean

VERSION = 1
"""Part of every key; raise it whenever the same file would give other pixels."""

RETRY_AFTER = 3600.0
"""Seconds for which a store is trusted that misses files which could not be read just then: long enough for the
processes of one search to agree, short enough that a repaired file system is noticed."""

_DIGEST_BYTES = 16
_CHECKED_ROWS = 256
_UNWRITABLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR),
)

Image.init()
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


@dataclass(frozen=True, eq=False)
class ImageStore:
    """The decoded images of a data set. Open it in every process; pickled, it would carry all pixels along.

    Args:
        pixels: read-only memory map, uint8 RGB (images, size, size, 3); row i is file i, zeros where it was rejected.
        usable: bool (images,), whether row i holds an image.
        rejected: (file, reason) of the others.
        digest: of the pixels of all images in their order, hexadecimal; names and dates do not enter.
        digests: uint8 (images, 16), the same for each image; zeros where it was rejected.
    """

    pixels: np.ndarray
    usable: np.ndarray
    rejected: tuple[tuple[str, str], ...]
    digest: str
    digests: np.ndarray


class Rejected(Exception):
    """An image cannot be used; the text says why.

    Args:
        passing: the file may be readable another time (a time-out, missing permission).
    """

    def __init__(self, reason: str, passing: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.passing = reason, passing


def open_store(
    root: Path,
    files: Sequence[str],
    size: int,
    *,
    resize: str = "crop",
    directory: Path,
    timeout: float = 60.0,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> ImageStore:
    """Opens the finished store of these files, or builds it; of several processes, one builds and the others wait.

    A store belongs to the names, sizes and dates of its files: a changed image makes a new one. A damaged store is
    built again. Files that cannot be used are rejected with a reason. Links are followed wherever they lead, as
    folders of links into a data store are common; what names may say is checked by :mod:`trainables.datasets`.

    Args:
        root, files: ``root / files[i]`` is image i; at least one.
        size: side of the square images, pixels.
        resize: a key of `RESIZE`.
        directory: where stores lie on this node; made if need be.
        timeout: seconds for reading one file. A reader that takes longer is left behind, and does not keep the process
            from ending.
        workers: threads that decode.
        progress: called now and then with (files done, files in all).

    Raises:
        ConfigError: there are no files, or `directory` cannot be written or is full.
    """
    if resize not in RESIZE:
        raise ConfigError(f"unknown resize {resize!r}{did_you_mean(resize, RESIZE)}", key="resize")
    if not files:
        raise ConfigError(f"no image files in {root}; give at least one", key="images")
    found: list[Any] = [None] * len(files)
    for i, outcome in _supervised(lambda i: _identity(root / files[i]), len(files), workers, timeout):
        found[i] = outcome.reason if isinstance(outcome, Rejected) else outcome
    key = _digest([VERSION, str(root.resolve()), size, resize, list(zip(files, found, strict=True))])
    folder = directory / f"images-{key}"
    store = _load(folder, files, size)
    if store is None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):
                store = _load(folder, files, size)
                if store is None:
                    decode = partial(_decode_row, root, files, found, size, resize)
                    rows = _supervised(decode, len(files), workers, timeout)
                    _build(folder, rows, len(files), size, progress)
                    store = _load(folder, files, size)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            need = len(files) * size * size * 3 / 1e9
            message = f"{directory}: cannot be written ({error.strerror}); needs {need:.2f} GB, choose another folder"
            raise ConfigError(message, key="directory") from error
    assert store is not None
    return store


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


# --- one file, in a worker thread ------------------------------------------------------------------------------------


def _identity(path: Path) -> tuple[int, int] | str:
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


def _decode_row(
    root: Path, files: Sequence[str], found: list[Any], size: int, resize: str, i: int
) -> tuple[np.ndarray, bytes]:
    """(pixels, digest) of image i."""
    if isinstance(found[i], str):
        raise Rejected(found[i])
    pixels = decode_image(root / files[i], size, resize)
    return pixels, hashlib.blake2b(pixels.tobytes(), digest_size=_DIGEST_BYTES).digest()


@dataclass
class _Worker:
    """What the supervisor knows of one thread: the item it is at, since when, and whether it was given up."""

    item: int | None = None
    since: float = field(default_factory=time.monotonic)
    given_up: bool = False


def _supervised(work: Callable[[int], Any], count: int, workers: int, timeout: float) -> Iterator[tuple[int, Any]]:
    """``(i, work(i))`` for i below `count`, as they are done; a :class:`Rejected` is a result, too.

    Threads serve, as Pillow releases the interpreter while it decodes; a thread that hangs in a read cannot be stopped,
    so it is replaced by another. They are daemons: none keeps the process from ending.
    """
    items, lock, stop = iter(range(count)), threading.Lock(), threading.Event()
    results: queue.Queue[tuple[int, Any]] = queue.Queue(maxsize=64)

    def run(me: _Worker) -> None:
        while not stop.is_set():
            with lock:
                item = next(items, None)
                me.item, me.since = item, time.monotonic()
            if item is None:
                return
            result: Any
            try:
                result = work(item)
            except BaseException as error:  # handed to the supervisor, who raises it
                result = error
            with lock:
                me.item = None
                if me.given_up:
                    return
            while not stop.is_set():
                try:
                    results.put((item, result), timeout=1)
                    break
                except queue.Full:
                    continue

    def start() -> _Worker:
        worker = _Worker()
        threading.Thread(target=run, args=(worker,), daemon=True, name="thaw-images").start()
        return worker

    crew = [start() for _ in range(max(1, min(workers, count)))]
    tick, checked, done = min(0.25, timeout / 4), time.monotonic(), 0
    try:
        while done < count:
            ready: list[tuple[int, Any]] = []
            with contextlib.suppress(queue.Empty):
                ready.append(results.get(timeout=tick))
            if time.monotonic() - checked > tick:
                checked = time.monotonic()
                for place, worker in enumerate(crew):
                    with lock:
                        item = worker.item
                        worker.given_up = item is not None and checked - worker.since > timeout
                    if worker.given_up and item is not None:
                        ready.append((item, Rejected(f"reading took longer than {timeout:g} s", passing=True)))
                        crew[place] = start()
            for item, result in ready:
                if isinstance(result, BaseException) and not isinstance(result, Rejected):
                    raise result
                done += 1
                yield item, result
    finally:
        stop.set()


# --- the files of a store --------------------------------------------------------------------------------------------


def _digest(content: object) -> str:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _build(
    folder: Path,
    rows: Iterator[tuple[int, Any]],
    count: int,
    size: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Writes a store under another name and gives it its own when it is whole; the caller holds the lock."""
    for leftover in folder.parent.glob(f"{folder.name}.*.tmp"):
        shutil.rmtree(leftover)
    row_bytes = size * size * 3
    if shutil.disk_usage(folder.parent).free < count * row_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        digests = np.zeros((count, _DIGEST_BYTES), np.uint8)
        rejected: dict[int, Rejected] = {}
        said = time.monotonic()
        # Written, not mapped: a full disk is then an error and not the end of the process.
        with (temporary / "pixels.u8").open("wb") as file:
            file.truncate(count * row_bytes)
            for done, (i, outcome) in enumerate(rows, 1):
                if isinstance(outcome, Rejected):
                    rejected[i] = outcome
                else:
                    pixels, digest = outcome
                    file.seek(i * row_bytes)
                    file.write(pixels.tobytes())
                    digests[i] = np.frombuffer(digest, np.uint8)
                if progress and (done == count or time.monotonic() - said > 0.5):
                    said = time.monotonic()
                    progress(done, count)
            file.flush()
            os.fsync(file.fileno())
        digests.tofile(temporary / "digests.u8")
        index = {
            "rejected": [[i, rejected[i].reason] for i in sorted(rejected)],
            "digest": _digest([size, digests.tobytes().hex()]),
            "retry_after": time.time() + RETRY_AFTER if any(entry.passing for entry in rejected.values()) else None,
        }
        (temporary / "index.json").write_text(json.dumps(index))
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _load(folder: Path, files: Sequence[str], size: int) -> ImageStore | None:
    """The store, or None where there is none, it is damaged, or it is time to try its unreadable files again."""
    shape = (len(files), size, size, 3)
    try:
        index = json.loads((folder / "index.json").read_text())
        digests = np.fromfile(folder / "digests.u8", np.uint8).reshape(len(files), _DIGEST_BYTES)
        if (folder / "pixels.u8").stat().st_size != np.prod(shape):
            return None
        if index["digest"] != _digest([size, digests.tobytes().hex()]):
            return None
        if index["retry_after"] is not None and time.time() > index["retry_after"]:
            return None
        pixels = np.memmap(folder / "pixels.u8", np.uint8, mode="r", shape=shape)
        rejected = {int(i): str(reason) for i, reason in index["rejected"]}
    except (OSError, ValueError, KeyError, TypeError):
        return None
    usable = np.ones(len(files), bool)
    usable[list(rejected)] = False
    # Reading everything would cost seconds in every process; evenly spaced rows show what a crash leaves behind.
    rows = np.flatnonzero(usable)
    for i in rows[:: max(1, len(rows) // _CHECKED_ROWS)]:
        if hashlib.blake2b(pixels[i].tobytes(), digest_size=_DIGEST_BYTES).digest() != digests[i].tobytes():
            return None
    return ImageStore(
        pixels, usable, tuple((files[i], reason) for i, reason in rejected.items()), index["digest"], digests
    )
