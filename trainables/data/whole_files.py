"""Files and folders that are written whole or not at all, and never over another."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thaw.spaces import ConfigError


def check_new(path: Path) -> None:
    """Look whether a file or folder can be made here, without making it.

    Raises:
        ConfigError: something of that name exists (nothing is ever overwritten), or the place cannot be written to.
    """
    if os.path.lexists(path):
        raise ConfigError("exists already and is never overwritten; choose another --to, or remove it", file=path)
    parent = next(place for place in path.absolute().parents if place.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise ConfigError(f"must be writable, {parent} is not; choose another --to", file=path)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the name `path` when the block ends well, and is gone if it does not."""
    check_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir()
    try:
        yield temporary
        check_new(path)
        temporary.replace(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file to write, which takes the name `path` when the block ends well, and is gone if it does not."""
    check_new(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        check_new(path)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
