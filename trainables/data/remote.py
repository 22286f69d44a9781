"""Image folders elsewhere, such as S3, GCS or a web server: listed at once, copied when images are needed, and once.

Everything else sees the local copy, so names, label folders and all kinds of images are read as on a disk.
"""

from __future__ import annotations

import hashlib
import json
import os
import posixpath
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from thaw.spaces.errors import ConfigError
from thaw.spaces.files import replaced_file
from thaw.trainables.data.in_use import ABOUT, hold
from thaw.trainables.data.label_files import looks_like_image

URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

WEB = ("http", "https")

PACKAGES = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "http": "web", "https": "web"}
"""Protocol → the extra that it needs."""

LABEL_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt")
"""Of files beside the images that may say their labels; they are copied when the folder is listed."""

STAMPS = ("ETag", "etag", "mtime", "LastModified", "updated", "created")
"""What file systems call that which changes with a file, the surest first."""

AT_ONCE, TRIES = 16, 3

UNFINISHED, ABANDONED = ".unfinished", 3600.0
"""How files that are being copied end; seconds after which nobody writes one any more."""

LISTING, FILES = "listing.json", "files"
"""In the folder of a copy: what is there, and the copied files."""


def is_remote(place: str) -> bool:
    """Whether a path of the search file is a URL."""
    return URL.match(place) is not None


@dataclass(frozen=True)
class RemoteFolder:
    """A folder elsewhere and its copy on this machine.

    Args:
        url: as fsspec takes it: ``s3://bucket/photos``, ``gs://…``, ``https://…``. Where credentials come from is the
            business of that file system, such as the usual variables of S3.
        directory: node-local folder of copies.
        version: of what is there, by :meth:`listed`; another node lists for itself when it knows another one.
    """

    url: str
    directory: Path
    version: str = ""

    @property
    def folder(self) -> Path:
        """What this machine has of it."""
        return self.directory / f"copy-{hashlib.blake2b(self.url.encode(), digest_size=8).hexdigest()}"

    @property
    def root(self) -> Path:
        """The local image folder. A file that is not copied yet is empty."""
        return self.folder / FILES

    def listed(self) -> RemoteFolder:
        """Look what is there. Copies of files that have changed are given up, files of labels are copied.

        A web server must show an index of the folder. It names neither size nor date of a file, so a changed image is
        not noticed there.

        Raises:
            ConfigError: the folder cannot be read, or holds no files.
        """
        found = {name: stamp for name, stamp in sorted(self._find())}
        if not found:
            index = "; a web server must show an index of the folder" if self._web else ""
            raise ConfigError(f"{self.url} lists no files{index}; correct the address", "images")
        before = self._listing()
        for name, stamp in found.items():
            file = self.root / name
            if before.get(name) != stamp or not file.exists():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(b"")
        for name in before.keys() - found.keys():
            (self.root / name).unlink(missing_ok=True)
        with replaced_file(self.folder / LISTING) as file:
            file.write_text(json.dumps(found))
        (self.folder / ABOUT).write_text(self.url, encoding="utf-8")
        for leftover in self.folder.glob(f"*{UNFINISHED}"):
            with suppress(OSError):
                if time.time() - leftover.stat().st_mtime > ABANDONED:
                    leftover.unlink()
        with suppress(OSError):
            hold(self.folder)
        labels = [name for name in found if not looks_like_image(name) and name.lower().endswith(LABEL_SUFFIXES)]
        self.fetch(labels)
        return RemoteFolder(self.url, self.directory, _version(found))

    def fetch(self, names: Sequence[str], progress: Callable[[int, int], None] | None = None) -> None:
        """Copy files that are not here yet, each whole or not at all: whoever was interrupted goes on where it was.

        Args:
            names: below the folder.
            progress: called with (files here, files in all).

        Raises:
            ConfigError: some cannot be copied; the others have been.
        """
        if self.version and _version(self._listing()) != self.version:  # another machine than that which listed
            self.listed()
        listing = self._listing()
        missing = [name for name in names if name in listing and not _size(self.root / name)]
        done, lock = len(names) - len(missing), threading.Lock()
        failed: list[tuple[str, Exception]] = []

        def copy(name: str) -> None:
            nonlocal done
            error = self._copy(name)
            with lock:
                if error is not None:
                    failed.append((name, error))
                done += 1
                if progress is not None:
                    progress(done, len(names))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(copy, missing))
        if failed:
            name, error = failed[0]
            raise ConfigError(
                f"{len(failed)} of {len(names)} files of {self.url} cannot be copied (first: {name}: "
                f"{error or type(error).__name__}); the same command goes on where it was",
                "images",
            )

    def _copy(self, name: str) -> Exception | None:
        system, root = self._open()
        for attempt in range(1, TRIES + 1):
            try:
                place = f"{root}/{quote(name) if self._web else name}"
                with system.open(place, "rb") as content:
                    self._write(name, content.read())
                return None
            except Exception as error:  # each file system raises its own
                if attempt == TRIES:
                    return error
        return None

    def _write(self, name: str, content: bytes) -> None:
        """Not by :func:`replaced_file`, which looks through the whole folder for what was left behind."""
        descriptor, temporary = tempfile.mkstemp(UNFINISHED, dir=self.folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, self.root / name)

    def _find(self) -> Iterator[tuple[str, str]]:
        """(name, what changes with the file) of every visible file."""
        system, root = self._open()
        try:
            found: dict[str, dict[str, Any]] = system.find(root, detail=True)
        except Exception as error:  # each file system raises its own
            raise ConfigError(f"{self.url} cannot be listed: {error or type(error).__name__}", "images") from None
        for path, info in found.items():
            name = path.removeprefix(f"{root}/")
            if self._web:
                name = unquote(name.partition("?")[0].partition("#")[0])
            parts = name.split("/")
            # What is listed elsewhere names a file below the copy, and nothing else.
            if (
                name == path
                or posixpath.isabs(name)
                or "\\" in name
                or "\0" in name
                or any(part.startswith(".") or not part for part in parts)
            ):
                continue
            yield name, " ".join(str(info[key]) for key in ("size", *STAMPS) if info.get(key) is not None)

    def _open(self) -> tuple[Any, str]:
        """The file system, and the folder as it calls it."""
        protocol = self.url.partition(":")[0].lower()
        try:
            import fsspec

            system, root = fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            extra = PACKAGES.get(protocol, "web")
            raise ConfigError(f"{error}; pip install 'thaw-tune[{extra}]'", "images") from None
        except ValueError as error:
            raise ConfigError(f"{self.url}: {error}; give a folder, or s3://, gs:// or https://", "images") from None
        return system, str(root).rstrip("/")

    @property
    def _web(self) -> bool:
        return self.url.partition(":")[0].lower() in WEB

    def _listing(self) -> dict[str, str]:
        try:
            return json.loads((self.folder / LISTING).read_text())
        except (OSError, ValueError):
            return {}


def _version(listing: dict[str, str]) -> str:
    return hashlib.blake2b(json.dumps(listing).encode(), digest_size=8).hexdigest() if listing else ""


def _size(file: Path) -> int:
    try:
        return os.stat(file).st_size
    except OSError:
        return 0
