"""`thaw cache`: shows what is stored on this machine for all searches, and frees space."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from thaw.analysis.words import duration
from thaw.spaces import ConfigError, printable
from thaw.trainables.data.in_use import ABOUT, last_use, remove_unused

IMAGES, ACTIVATIONS, COPIES = "images", "activations", "copies"
"""Folders within the cache, see :mod:`thaw.search.prepare.preflight` and :mod:`thaw.search.prepare.data_set`."""

CONTENTS = {IMAGES: "decoded images", ACTIVATIONS: "activations of {}", COPIES: "copies of images in {}"}
"""Folder → what its folders hold."""


@dataclass(frozen=True)
class Stored:
    """One folder of the cache.

    Args:
        content: what it holds, in words.
        size: bytes on disk.
        used: time of its last use, in Unix seconds.
    """

    folder: Path
    content: str
    size: int
    used: float


def stored(directory: Path) -> list[Stored]:
    """The entries of a cache, most recent first. Entries that vanish meanwhile are left out."""
    return sorted(_folders(directory), key=lambda one: -one.used)


def _folders(directory: Path) -> Iterator[Stored]:
    for kind, pattern in ((IMAGES, "images-*/"), (ACTIVATIONS, "*/"), (COPIES, "copy-*/")):
        for folder in (directory / kind).glob(pattern):
            try:
                # Blocks, not lengths: rows not computed yet are holes.
                size = sum(file.stat().st_blocks * 512 for file in folder.rglob("*"))
                about = folder / ABOUT
                content = about.read_text(encoding="utf-8") if about.exists() else ""
                yield Stored(folder, CONTENTS[kind].format(content or "an unnamed network"), size, last_use(folder))
            except OSError:
                continue


def show_cache(directory: Path, console: Console, keep: int | None = None) -> None:
    """Print what is stored, after removing the least recently used entries until at most `keep` bytes are left.

    An entry that a running search uses is neither removed nor an error: it is listed.

    Raises:
        ConfigError: there is no such folder.
    """
    if not directory.is_dir():
        raise ConfigError("there is no such folder; give the one of cache.directory", file=directory)
    found = stored(directory)
    if keep is not None:
        found = _reduced(found, keep, console)
    table = Table(box=None)
    for column in ("content", "size", "last use", "folder"):
        table.add_column(column, justify="right" if column in ("size", "last use") else "left", no_wrap=True)
    for one in found:
        ago = f"{duration(max(0, time.time() - one.used))} ago"
        table.add_row(printable(one.content), readable(one.size), ago, one.folder.name)
    if found:
        console.print(table)
    total = readable(sum(one.size for one in found))
    console.print(f"{total} in {printable(str(directory))}", highlight=False, soft_wrap=True)


def _reduced(found: list[Stored], keep: int, console: Console) -> list[Stored]:
    left, size = list(found), sum(one.size for one in found)
    for one in reversed(found):
        if size <= keep:
            break
        if remove_unused(one.folder):
            left.remove(one)
            size -= one.size
        else:
            console.print(f"kept, in use by a search: {printable(one.content)} ({one.folder.name})", highlight=False)
    console.print(f"{readable(sum(one.size for one in found) - size)} removed", highlight=False)
    return left


def summary_line(directory: Path) -> str:
    """A line on what all searches have stored in a cache, for the end of a search; empty if nothing is stored."""
    found = stored(directory)
    by_kind = {kind: sum(one.size for one in found if one.folder.parent.name == kind) for kind in CONTENTS}
    if not found:
        return ""
    images, activations = readable(by_kind[IMAGES] + by_kind[COPIES]), readable(by_kind[ACTIVATIONS])
    return (
        f"Stored for all searches: {images} of images and {activations} of activations in {directory}; "
        "`thaw cache` shows and clears them"
    )


def readable(size: float) -> str:
    """Bytes in readable form: ``1.2 GB``."""
    for factor, unit in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size:.0f} bytes"
