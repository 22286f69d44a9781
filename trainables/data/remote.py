"""Remote image folders, such as S3, GCS or a web server: listed at the start, each file copied once when needed.

All other code sees the local copy, so file names, label folders and images are read as on a local disk.
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
from thaw.trainables.data.visible import is_visible

URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)

WEB = ("http", "https")

PACKAGES = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "http": "web", "https": "web"}
"""Protocol → the extra of Thaw that it needs."""

LABEL_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet", ".txt")
"""Extensions of possible label files among the images; these are copied when the folder is listed."""

STAMPS = ("ETag", "etag", "mtime", "LastModified", "updated", "created")
"""Keys under which file systems report what changes with a file, the most reliable first."""

CONNECTIONS, ATTEMPTS = 16, 3

UNFINISHED, ABANDONED = ".unfinished", 3600.0
"""Extension of files being copied; seconds after which such a file is a leftover."""

LISTING, FILES = "listing.json", "files"
"""In the folder of a copy: the list of remote files, and the folder of copied files."""


def is_remote(place: str) -> bool:
    """Whether a path of the search file is a URL."""
    return URL.match(place) is not None


@dataclass(frozen=True)
class RemoteFolder:
    """A remote folder and its copy on this machine.

    Args:
        url: an fsspec URL: ``s3://bucket/photos``, ``gs://…``, ``https://…``. Credentials are those of that file
            system, such as the usual environment variables of S3.
        directory: node-local folder of copies.
        version: digest of the remote listing, from :meth:`listed`; a node with another version lists the folder itself.
    """

    url: str
    directory: Path
    version: str = ""

    @property
    def folder(self) -> Path:
        """The folder of the copy on this machine."""
        return self.directory / f"copy-{hashlib.blake2b(self.url.encode(), digest_size=8).hexdigest()}"

    @property
    def root(self) -> Path:
        """The local image folder. Files that are not copied yet are empty."""
        return self.folder / FILES

    def listed(self) -> RemoteFolder:
        """List the remote folder, discard copies of files that have changed, and copy label files.

        A web server must show an index of the folder. The index gives neither sizes nor dates, so changed images are
        not noticed there.

        Raises:
            ConfigError: the folder cannot be read, or holds no files.
        """
        found = {name: stamp for name, stamp in sorted(self._find())}
        if not found:
            index = " (a web server must show an index of the folder)" if self._web else ""
            raise ConfigError(f"{self.url} lists no files{index}; correct the URL", "images")
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
        """Copy files that are not copied yet. Each copy is atomic, so an interrupted call can be repeated.

        Args:
            names: file names below the folder.
            progress: called with (files copied, all files).

        Raises:
            ConfigError: some files cannot be copied; the others have been.
        """
        if self.version and _version(self._listing()) != self.version:  # another machine has made the listing
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

        with ThreadPoolExecutor(CONNECTIONS) as pool:
            list(pool.map(copy, missing))
        if failed:
            name, error = failed[0]
            raise ConfigError(
                f"{len(failed)} of {len(names)} files of {self.url} cannot be copied (first: {name}: "
                f"{error or type(error).__name__}); run the same command again to copy the rest",
                "images",
            )

    def _copy(self, name: str) -> Exception | None:
        system, root = self._open()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                place = f"{root}/{quote(name) if self._web else name}"
                with system.open(place, "rb") as content:
                    self._write(name, content.read())
                return None
            except Exception as error:  # each file system raises its own
                if attempt == ATTEMPTS:
                    return error
        return None

    def _write(self, name: str, content: bytes) -> None:
        """Writes a file atomically, without :func:`replaced_file`, which searches the whole folder for leftovers."""
        descriptor, temporary = tempfile.mkstemp(UNFINISHED, dir=self.folder)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        (self.root / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(temporary, self.root / name)

    def _find(self) -> Iterator[tuple[str, str]]:
        """(name, size and stamps) of every visible file."""
        system, root = self._open()
        try:
            found: dict[str, dict[str, Any]] = system.find(root, detail=True)
        except Exception as error:  # each file system raises its own
            message = (
                f"{self.url} cannot be listed ({error or type(error).__name__}); check the URL and the credentials"
            )
            raise ConfigError(message, "images") from None
        for path, info in found.items():
            name = path.removeprefix(f"{root}/")
            if self._web:
                name = unquote(name.partition("?")[0].partition("#")[0])
            parts = name.split("/")
            # The listing is not trusted: a name must stay below the copy.
            if (
                name == path
                or posixpath.isabs(name)
                or "\\" in name
                or "\0" in name
                or not all(part and is_visible(part) for part in parts)
            ):
                continue
            yield name, " ".join(str(info[key]) for key in ("size", *STAMPS) if info.get(key) is not None)

    def _open(self) -> tuple[Any, str]:
        """The file system, and the path of the folder in it."""
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
