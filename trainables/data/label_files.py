"""What all readers of label files share: the rows they give, and the bytes, text and JSON they are made of."""

from __future__ import annotations

import codecs
import json
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from thaw.spaces.errors import ConfigError

IMAGE_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
"""How names of image files end, in lower case."""

CONTROLS = re.compile(r"[\x80-\x84\x86-\x9f]")
"""Signs that no text holds, but text in another encoding than it is read in; all but the line break NEL."""


@dataclass(frozen=True)
class Rows:
    """A label file as it stands, a row for each of its rows (or images, where the format lists images).

    Args:
        files: file name of each row, as written.
        labels: label ids of each row, as written; empty where the image has none.
        classes: label id → name, in listed order, where the label file itself lists its labels.
        columns: the other columns, one row a row.
        rejected: (file, reason) of what the format itself cannot use.
        notes: what was guessed, left out or looks wrong, a sentence each.
        ignored: (file, reason) of visible files that are no images.
        parts: the part of the split of each row, where folders say it.
    """

    files: list[str]
    labels: list[frozenset[str]]
    classes: dict[str, str] | None = None
    columns: pd.DataFrame = field(default_factory=pd.DataFrame)
    rejected: tuple[tuple[str, str], ...] = ()
    notes: tuple[str, ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    parts: list[int] | None = None


def bytes_of(path: Path, key: str) -> bytes:
    """The content of a regular file; a pipe or a device might never end."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError(f"{path}: must be a regular file; choose another", key=key)
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path", key=key) from error


def text_of(path: Path, key: str) -> str:
    """A text file, see :func:`decoded`."""
    text = decoded(bytes_of(path, key))
    if "\0" in text:
        raise ConfigError(f"{path}: is not a text file, it holds zero bytes; choose another", key=key)
    if CONTROLS.search(text):
        raise ConfigError(
            f"{path}: is neither UTF-8 nor Windows-1252 (western European); save it as UTF-8, or choose a text file",
            key=key,
        )
    # Files that were joined hold one at each joint.
    return text.replace("\n\ufeff", "\n")


def decoded(raw: bytes) -> str:
    """UTF-8, with or without byte order mark, UTF-16 with one, or else Windows-1252 or Latin-1."""
    marked = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    for encoding in ("utf-16" if marked else "utf-8-sig", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def is_unicode(raw: bytes) -> bool:
    """Whether :func:`decoded` need not guess."""
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return True


def json_of(path: Path, key: str) -> Any:
    try:
        return json.loads(text_of(path, key))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not JSON ({error}); repair it or choose another file", key=key) from error


def looks_like_image(name: str) -> bool:
    """Whether a file is called like an image; what it holds is seen when it is decoded."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
