"""The decoded images of a data set in one file, written once and read by all trials on a node."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.decoding import Rejected, Square, decode_image, decode_or_measure, file_identity, measure
from thaw.trainables.data.grey import Extent, Grey, White
from thaw.trainables.data.in_use import hold
from thaw.trainables.data.source import DataSource, decode_from
from thaw.trainables.data.supervision import supervised

VERSION = 2
"""Part of every key; increment it when the same file would give other pixels."""

RETRY_AFTER = 3600.0
"""Seconds before a store is rebuilt that lacks temporarily unreadable files: long enough for all processes of a search
to use the same store, short enough to notice a repaired file system."""

SAMPLE = 1000
"""Most files opened to describe a data set: a tenth of a second on a local disk."""

_DIGEST_BYTES = 16
_CHECKED_ROWS = 256
_UNWRITABLE = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EROFS),
    *(errno.EACCES, errno.EPERM, errno.EEXIST, errno.ENOTDIR),
)


@dataclass(frozen=True, eq=False)
class ImageStore:
    """The decoded images of a data set. Open it in every process; a pickle would contain all pixels.

    Args:
        pixels: read-only memory map, uint8 RGB (images, size, size, 3); row i is file i, or zeros if it was rejected.
        usable: bool (images,), whether row i holds an image.
        rejected: (file, reason) of the others.
        digest: hex digest of the pixels of all images in order, independent of names and dates.
        digests: uint8 (images, 16), the same for each image; zeros if it was rejected.
        grey: how grey images with more than 8 bits were read.
    """

    pixels: np.ndarray
    usable: np.ndarray
    rejected: tuple[tuple[str, str], ...]
    digest: str
    digests: np.ndarray
    grey: Grey


def open_store(
    root: Path,
    files: Sequence[str],
    square: Square,
    *,
    source: DataSource | None = None,
    white: White = None,
    directory: Path,
    timeout: float = 60.0,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> ImageStore:
    """Opens the store of these files, or builds it. Of several processes, one builds and the others wait.

    The key of a store contains the names, sizes and dates of its files, so a changed image makes a new store. A damaged
    store is rebuilt. Files that cannot be used are rejected with a reason. Links are followed wherever they lead, as
    folders of links are common; :mod:`thaw.trainables.data.names` checks that names stay inside the image folder.

    Args:
        root, files: ``root / files[i]`` is image i; at least one.
        square: how images become squares.
        source: provides the images instead of files; `files` are then only names.
        white: ``data.white``, for grey images with more than 8 bits, see :mod:`thaw.trainables.data.grey`.
        directory: node-local folder of all stores; created if necessary.
        timeout: seconds for reading one file. A thread that takes longer is abandoned, and does not keep the process
            from exiting.
        workers: number of decoding threads.
        progress: called regularly with (files done, all files).

    Raises:
        ConfigError: there are no files, or `directory` cannot be written or is full.
    """
    if not files:
        raise ConfigError(f"no image files in {root}; give at least one", key="images")
    found: list[Any] = [None if source is None else source.digest] * len(files)
    if source is None:
        for i, outcome in supervised(lambda i: file_identity(root / files[i]), len(files), workers, timeout):
            found[i] = outcome.reason if isinstance(outcome, Rejected) else outcome
    key = _digest([VERSION, str(root.resolve()), astuple(square), white, list(zip(files, found, strict=True))])
    folder, size = directory / f"images-{key}", square.size
    store = _load(folder, files, size)
    if store is None:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{folder}.lock"):
                store = _load(folder, files, size)
                if store is None:
                    decoder = _Decoder(root, files, found, square, source, white, workers, timeout)
                    _build(folder, decoder, len(files), size, progress)
                    store = _load(folder, files, size)
        except OSError as error:
            if error.errno not in _UNWRITABLE:
                raise
            need = len(files) * size * size * 3 / 1e9
            message = f"{directory}: cannot be written ({error.strerror}), needs {need:.2f} GB; choose another folder"
            raise ConfigError(message, key="directory") from error
    assert store is not None
    # Fails in a read-only cache, from which nothing can be removed anyway.
    with suppress(OSError):
        hold(folder)
    return store


@dataclass
class _Decoder:
    """Decodes all files; grey images with more than 8 bits twice, as their common scale depends on all of them.

    Args:
        found: identity of each file, or the reason why there is nothing to decode.
        source: provides the images if they are not files.

    Attributes:
        grey: how the grey images were read; set once `rows` is exhausted.
    """

    root: Path
    files: Sequence[str]
    found: Sequence[Any]
    square: Square
    source: DataSource | None
    white: White
    workers: int
    timeout: float
    grey: Grey = field(init=False)

    def rows(self) -> Iterator[tuple[int, np.ndarray | Rejected]]:
        """(number, pixels or rejection) of each file once, in order of completion."""
        extents: dict[int, tuple[str, Extent]] = {}
        for i, outcome in supervised(self._first, len(self.files), self.workers, self.timeout):
            if isinstance(outcome, tuple):
                extents[i] = outcome
            else:
                yield i, outcome
        self.grey = Grey.of(extents.values(), self.white)
        later = sorted(extents)
        for k, outcome in supervised(lambda k: self._again(later[k]), len(later), self.workers, self.timeout):
            yield later[k], outcome

    def _first(self, i: int) -> np.ndarray | tuple[str, Extent]:
        if self.source is not None:
            return decode_from(self.source, i, self.square)
        if isinstance(self.found[i], str):
            raise Rejected(self.found[i])
        return decode_or_measure(self.root / self.files[i], self.square)

    def _again(self, i: int) -> np.ndarray:
        return decode_image(self.root / self.files[i], self.square, self.grey.scales)


def sampled_grey(root: Path, files: Sequence[str], white: White = None, timeout: float = 60.0) -> Grey:
    """The scales of grey images with more than 8 bits, from up to `SAMPLE` evenly spread files. Others are not decoded.

    Files that cannot be used are left out.
    """
    chosen = files[:: max(1, -(-len(files) // SAMPLE))]
    measured = supervised(lambda i: measure(root / chosen[i]), len(chosen), 2, timeout)
    return Grey.of((found for _, found in measured if isinstance(found, tuple)), white)


def _digest(content: object) -> str:
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=_DIGEST_BYTES).hexdigest()


def _build(
    folder: Path,
    decoder: _Decoder,
    count: int,
    size: int,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Writes a store under a temporary name and renames it when it is complete. The caller holds the lock."""
    for leftover in folder.parent.glob(f"{folder.name}.*.tmp"):
        shutil.rmtree(leftover)
    row_bytes = size * size * 3
    if shutil.disk_usage(folder.parent).free < count * row_bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    temporary = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        digests = np.zeros((count, _DIGEST_BYTES), np.uint8)
        rejected: dict[int, Rejected] = {}
        reported = time.monotonic()
        # Written, not mapped: on a full disk, writing raises an error, while a mapped write kills the process.
        with (temporary / "pixels.u8").open("wb") as file:
            file.truncate(count * row_bytes)
            for done, (i, outcome) in enumerate(decoder.rows(), 1):
                if isinstance(outcome, Rejected):
                    rejected[i] = outcome
                else:
                    content = outcome.tobytes()
                    file.seek(i * row_bytes)
                    file.write(content)
                    digests[i] = np.frombuffer(hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest(), np.uint8)
                if progress and (done == count or time.monotonic() - reported > 0.5):
                    reported = time.monotonic()
                    progress(done, count)
            file.flush()
            os.fsync(file.fileno())
        digests.tofile(temporary / "digests.u8")
        index = {
            "rejected": [[i, rejected[i].reason] for i in sorted(rejected)],
            "digest": _digest([size, digests.tobytes().hex()]),
            "grey": decoder.grey.to_dict(),
            "retry_after": time.time() + RETRY_AFTER if any(entry.temporary for entry in rejected.values()) else None,
        }
        (temporary / "index.json").write_text(json.dumps(index))
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _load(folder: Path, files: Sequence[str], size: int) -> ImageStore | None:
    """The store; None if there is none, it is damaged, or its unreadable files are due for another attempt."""
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
        grey = Grey.from_dict(index["grey"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    usable = np.ones(len(files), bool)
    usable[list(rejected)] = False
    # Checking everything would cost seconds in every process; evenly spaced rows reveal the damage of a crash.
    rows = np.flatnonzero(usable)
    for i in rows[:: max(1, len(rows) // _CHECKED_ROWS)]:
        if hashlib.blake2b(pixels[i].tobytes(), digest_size=_DIGEST_BYTES).digest() != digests[i].tobytes():
            return None
    reasons = tuple((files[i], reason) for i, reason in rejected.items())
    return ImageStore(pixels, usable, reasons, index["digest"], digests, grey)
