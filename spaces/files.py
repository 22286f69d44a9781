"""Files and folders that are written whole or not at all, and never over another's."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from thaw.spaces.errors import ConfigError
from thaw.spaces.locks import locked, locked_if_free

TEMPORARY = ".thaw-tmp"
"""How unfinished files and folders end. Whoever writes one holds a lock on it, which dies with the process."""


def check_new(path: Path, option: str = "--to", size: int = 0) -> None:
    """Look whether a file or folder can be made here, without making it.

    Args:
        option: what names another place, for the message.
        size: bytes that there must be room for.

    Raises:
        ConfigError: something of that name exists (nothing is ever overwritten), or the place cannot be written to.
    """
    if os.path.lexists(path):
        raise ConfigError(f"exists already and is never overwritten; choose another {option}, or remove it", file=path)
    parent = next(place for place in path.absolute().parents if os.path.exists(place))
    reason = _unwritable(parent, size)
    if reason:
        raise ConfigError(f"must be writable, {parent} is not ({reason}); choose another {option}", file=path)


def check_writable(folder: Path) -> None:
    """Look whether a folder takes another file.

    Raises:
        ConfigError: it is read-only or full.
    """
    reason = _unwritable(folder)
    if reason:
        raise ConfigError(f"must be writable, it is not ({reason}); make room, or work on a copy of it", file=folder)


def _unwritable(folder: Path, size: int = 0) -> str:
    """Why a folder does not take another file of so many bytes, found by writing one without a name; else empty."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(bytes(4096))
    except OSError as error:
        return error.strerror or str(error)
    free = shutil.disk_usage(folder).free
    return f"{size / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free" if free < size else ""


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which takes the name `path` when the block ends well, and is gone if it does not."""
    check_new(path)
    with _temporary(path, folder=True) as temporary:
        yield temporary
        check_new(path)
        temporary.replace(path)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file to write, which takes the name `path` when the block ends well, and is gone if it does not."""
    check_new(path)
    with replaced_file(path) as temporary:
        yield temporary
        check_new(path)


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """The same, but in place of the file that has this name, if there is one."""
    with _temporary(path, folder=False) as temporary:
        yield temporary
        temporary.replace(path)


@contextmanager
def _temporary(path: Path, folder: bool) -> Iterator[Path]:
    """An empty file or folder beside `path`, which is locked; removed at the end if it still has this name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path.parent)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")
    _remove(temporary)
    temporary.mkdir() if folder else temporary.touch(exist_ok=False)
    with locked(temporary):
        try:
            yield temporary
        finally:
            _remove(temporary)


def _remove_leftovers(folder: Path) -> None:
    """Remove what processes left behind that were killed: nobody holds its lock."""
    for leftover in folder.glob(f".*{TEMPORARY}"):
        with suppress(OSError), locked_if_free(leftover) as abandoned:
            if abandoned:
                _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
