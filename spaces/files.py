"""Files and folders that are written atomically, and never overwrite others unasked."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from thaw.spaces.errors import ConfigError
from thaw.spaces.locks import locked, locked_if_free

TEMPORARY = ".thaw-tmp"
"""Suffix of unfinished files and folders. The writing process holds a lock on them, which ends with the process."""


def check_new(path: Path, option: str = "--to", size: int = 0) -> None:
    """Check that a file or folder can be created, without creating it.

    Args:
        option: the option that chooses another path, for the message.
        size: bytes that must be free.

    Raises:
        ConfigError: the path exists (nothing is ever overwritten), or cannot be written to.
    """
    if os.path.lexists(path):
        raise ConfigError(f"exists already and is never overwritten; choose another {option}, or remove it", file=path)
    parent = next(place for place in path.absolute().parents if os.path.exists(place))
    reason = _unwritable(parent, size)
    if reason:
        raise ConfigError(f"must be writable, {parent} is not ({reason}); choose another {option}", file=path)


def check_new_folder(path: Path, option: str = "--to", size: int = 0) -> None:
    """Like :func:`check_new`, for a folder of weights, which are read by a library that takes paths as text.

    Raises:
        ConfigError: as in :func:`check_new`, or the path is no text.
    """
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        rule = f"must be text in this system's encoding ({sys.getfilesystemencoding()}), as weights are stored there"
        raise ConfigError(f"{rule}; set LC_ALL=C.UTF-8, or choose another {option}", file=path) from None
    check_new(path, option, size)


def check_writable(folder: Path) -> None:
    """Check that a file can be created in a folder.

    Raises:
        ConfigError: it is read-only or full.
    """
    reason = _unwritable(folder)
    if reason:
        raise ConfigError(f"must be writable, it is not ({reason}); make room, or work on a copy of it", file=folder)


def _unwritable(folder: Path, size: int = 0) -> str:
    """Why no file of `size` bytes can be created in a folder, tested with an unnamed file; empty if one can."""
    try:
        with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
            file.write(bytes(4096))
    except OSError as error:
        return error.strerror or str(error)
    free = shutil.disk_usage(folder).free
    return f"{size / 1e6:,.0f} MB are needed, {free / 1e6:,.0f} MB are free" if free < size else ""


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """An empty folder to fill, which is renamed to `path` if the block succeeds, and removed if it fails."""
    check_new_folder(path)
    with _temporary(path, folder=True) as temporary:
        yield temporary
        check_new(path)
        temporary.replace(path)


@contextmanager
def new_file(path: Path) -> Iterator[Path]:
    """A file to write, which is renamed to `path` if the block succeeds, and removed if it fails."""
    check_new(path)
    with replaced_file(path) as temporary:
        yield temporary
        check_new(path)


@contextmanager
def replaced_file(path: Path) -> Iterator[Path]:
    """Like :func:`new_file`, but replaces an existing file."""
    with _temporary(path, folder=False) as temporary:
        yield temporary
        temporary.replace(path)


@contextmanager
def _temporary(path: Path, folder: bool) -> Iterator[Path]:
    """An empty, locked file or folder next to `path`; removed at the end unless it was renamed."""
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
    """Remove unfinished files of killed processes, which no process has locked."""
    for leftover in folder.glob(f".*{TEMPORARY}"):
        with suppress(OSError), locked_if_free(leftover) as abandoned:
            if abandoned:
                _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
