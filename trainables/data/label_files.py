"""Shared by all readers of label files: the rows they return, and reading bytes, text and JSON."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.encodings import Unreadable, decode_text, zero_bytes
from thaw.trainables.data.visible import is_visible

IMAGE_SUFFIXES = (
    *(".avif", ".bmp", ".gif", ".heic", ".heif", ".hif", ".jfif", ".jp2", ".jpe", ".jpeg", ".jpg"),
    *(".pgm", ".png", ".pnm", ".ppm", ".tga", ".tif", ".tiff", ".webp"),
)
"""Extensions of image files, in lower case."""


BINARY_FILES = {
    b"PK\x03\x04": ("an Excel, OpenDocument or zip file", "save the table as CSV (UTF-8), or unpack the file"),
    b"\xd0\xcf\x11\xe0": ("an old Excel file (.xls)", "save the table as CSV (UTF-8)"),
    b"\x1f\x8b": ("compressed by gzip", "unpack it with gunzip"),
    b"SQLite format 3": ("an SQLite database", "export the table of labels as CSV"),
    b"%PDF-": ("a PDF file", "give the labels as CSV"),
    b"ARROW1\0": ("a Feather file", "save the table as Parquet or CSV"),
    b"\x93NUMPY": ("a NumPy array", "give file names and labels as CSV"),
    b"MATLAB 5.0 MAT-file": ("a MATLAB file", "give file names and labels as CSV"),
}
"""First bytes of files that people give for labels → what they are, and the fix."""


@dataclass(frozen=True)
class Rows:
    """The content of a label file, one entry per row (or per image, if the format lists images).

    Args:
        files: file name of each row, as written.
        labels: label ids of each row, as written; empty if the image has none.
        classes: label id → name, in listed order, if the label file itself lists its labels.
        columns: the other columns of each row.
        rejected: (file, reason) of rows that the reader cannot use.
        notes: what was guessed, left out or looks wrong, one sentence each.
        ignored: (file, reason) of visible files that are not images.
        parts: part of the split of each row, if folders define it.
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
    """The content of a regular file. Pipes and devices are refused, as reading them might never end."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise ConfigError(f"{path}: must be a regular file; choose another", key=key)
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); check the path", key=key) from error


def text_of(path: Path, key: str, encoding: str = "auto", notes: list[str] | None = None) -> str:
    """The content of a text file, see :func:`thaw.trainables.data.encodings.decode_text`.

    Args:
        key: key of the search file, for errors.
        encoding: ``auto``, or the name of a Python codec.
        notes: a note is appended if the encoding was guessed.

    Raises:
        ConfigError: the file cannot be read, is not text, or is in another encoding.
    """
    content = bytes_of(path, key)
    for start, (kind, fix) in BINARY_FILES.items():
        if content.startswith(start):
            raise ConfigError(f"{path}: is {kind}, not text; {fix}", key=key)
    try:
        text, guess = decode_text(content, encoding)
    except Unreadable as error:
        raise ConfigError(f"{path}: {error}", key=key) from None
    if "\0" in text:
        raise ConfigError(f"{path}: {zero_bytes(content)}", key=key)
    if guess and notes is not None:
        notes.append(f"{path.name} {guess}")
    # Concatenated files hold a byte order mark at each joint.
    return text.replace("\n\ufeff", "\n")


def json_of(path: Path, key: str, encoding: str = "auto", notes: list[str] | None = None) -> Any:
    """The content of a JSON file; arguments as for :func:`text_of`."""
    try:
        return json.loads(text_of(path, key, encoding, notes))
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not JSON ({error}); repair it or choose another file", key=key) from error


def xml_of(path: Path, key: str) -> ElementTree.Element:
    """The root of an XML file; arguments as for :func:`text_of`."""
    raw = bytes_of(path, key)
    # Annotations need no document type, and its entities can expand a few lines into megabytes.
    if b"<!DOCTYPE" in raw.replace(b"\0", b""):
        raise ConfigError(f"{path}: must not declare a document type; remove <!DOCTYPE …>", key=key)
    try:
        return ElementTree.fromstring(raw)
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        raise ConfigError(f"{path}: is not XML ({error}); repair or remove it", key=key) from error


def visible_files(folder: Path) -> list[Path]:
    """The visible files below a folder, sorted by path. An unreadable folder is an error."""

    def fail(error: OSError) -> None:
        raise ConfigError(f"{error.filename}: cannot be read ({error.strerror}); check the path", key="labels")

    found = []
    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if is_visible(name)]
        found += [Path(place, file) for file in files if is_visible(file)]
    return sorted(found, key=lambda path: path.relative_to(folder).parts)


def looks_like_image(name: str) -> bool:
    """Whether a file has the extension of an image. Its content is checked when it is decoded."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES
