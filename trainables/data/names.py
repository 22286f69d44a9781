"""Matches names in a label file with files in the image folder: exactly, or by a unique inexact match with a note."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from urllib.parse import unquote

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.label_files import IMAGE_SUFFIXES
from thaw.trainables.data.own_results import holds_own_results
from thaw.trainables.data.visible import is_visible

SAME_FORMAT = {".jpeg": ".jpg", ".jpe": ".jpg", ".jfif": ".jpg", ".tif": ".tiff"}
"""Extension → the usual one of the same format."""


def listing(folder: Path) -> set[str] | None:
    """The names in a folder; empty if it does not exist, None if it cannot be listed."""
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except (OSError, ValueError):
        return None


class FileIndex:
    """Looks up the files below an image folder by the names that a label file may use.

    Folders are listed once, when needed; no file is opened.

    Args:
        root: the image folder. If it does not exist, no name is matched.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listings: dict[str, set[str] | None] = {}

    def exact(self, name: str) -> bool:
        """Whether a file has exactly this name; also true if its folder cannot be listed."""
        folder, _, base = name.rpartition("/")
        if folder not in self._listings:
            self._listings[folder] = listing(self.root / folder)
        names = self._listings[folder]
        return names is None or base in names

    def knows(self, name: str) -> bool:
        """Whether `name` matches a file, exactly or inexactly."""
        path = inside(name, self.root)
        return (
            path is not None and path != "." and self.root.is_dir() and (self.exact(path) or bool(self.matches(path)))
        )

    def matches(self, name: str) -> list[str]:
        """The files that `name` may refer to. Case, Unicode composition and leading folders may differ, and the
        extension may be missing or another one of the same format (``.jpeg``, ``.jpg``). If there is none, the name is
        decoded like a URL.
        """
        found = self._alike(name)
        return found if found or (plain := decoded(name)) == name else self._alike(plain)

    def _alike(self, name: str) -> list[str]:
        *folders, base = (_fold(part) for part in name.split("/"))
        stem, extension = _stem(base)
        found = []
        for file in self._by_stem.get(stem, ()):
            *parents, other = (_fold(part) for part in file.split("/"))
            common = min(len(folders), len(parents))
            same_place = not common or folders[-common:] == parents[-common:]
            if same_place and extension in ("", _stem(other)[1]):
                found.append(file)
        return found

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        table: dict[str, list[str]] = defaultdict(list)
        for file in self._walk():
            table[_stem(_fold(posixpath.basename(file)))[0]].append(file)
        return dict(table)

    def _walk(self) -> Iterator[str]:
        """The path of every visible file below the root. Links are followed, and each folder is read once."""
        seen: set[tuple[int, int]] = set()
        for place, folders, files in os.walk(self.root, followlinks=True):
            status = os.stat(place)
            identity = (status.st_dev, status.st_ino)
            if identity in seen or (Path(place) != self.root and holds_own_results(Path(place))):
                folders.clear()
                continue
            seen.add(identity)
            folders[:] = sorted(folder for folder in folders if is_visible(folder))
            parent = os.path.relpath(place, self.root).replace(os.sep, "/")
            prefix = "" if parent == "." else f"{parent}/"
            yield from (prefix + file for file in sorted(files) if is_visible(file))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _stem(folded: str) -> tuple[str, str]:
    """(name, extension) of a folded file name. An extension that is not one of images is part of the name."""
    stem, extension = posixpath.splitext(folded)
    return (stem, SAME_FORMAT.get(extension, extension)) if extension in IMAGE_SUFFIXES else (folded, "")


AROUND = (
    (r"(?:.*/)?data/local-files/\?d=(.+)", r"\1"),  # Label Studio, files of its own machine
    (r"(?:.*/)?data/upload/\d+/[0-9a-f]{8}-(.+)", r"\1"),  # Label Studio, uploads
    (r"(\w+:/[^?#]*)[?#].*", r"\1"),  # a URL with a query
)
"""What programs write around a file name, and the name in it."""


def decoded(name: str) -> str:
    """The file name in a URL (``https://x.org/my%20cat.jpg?raw=1``) or in a path of `AROUND`; else the name itself.

    A name that would lead to a folder above is not decoded.
    """
    plain = name
    for around, within in AROUND:
        plain = re.sub(f"^{around}$", within, plain)
    try:
        plain = unquote(plain, errors="strict")
    except UnicodeDecodeError:
        return name
    return name if ".." in plain.replace("\\", "/").split("/") or "\0" in plain else plain


def inside(name: str, root: Path) -> str | None:
    """A name relative to the image folder, normalised (``./a//b.jpg``, ``a\\b.jpg`` → ``a/b.jpg``); None if outside."""
    path = posixpath.normpath(name.replace("\\", "/"))
    if path.startswith("/"):
        for folder in dict.fromkeys((root.absolute(), root.resolve())):
            if path.startswith(f"{folder.as_posix()}/"):
                return path[len(folder.as_posix()) + 1 :]
        return None
    outside = path.split("/", 1)[0] == ".." or re.match(r"[A-Za-z]:/", path)
    # Returning the same object saves memory for a million names.
    return None if outside else name if path == name else path


def match_names(names: Iterable[str], files: FileIndex, base: str, place: Path) -> tuple[dict[str, str], list[str]]:
    """Finds the file that each name refers to.

    An exact match comes first; ``../images/a.jpg`` is relative to the folder of the label file. Otherwise a file is
    matched that differs only in its extension (if the name has none, or one of the same format), case, Unicode
    composition, leading folders or the encoding of URLs, if it is the only one and no other name matches it exactly.

    Args:
        names: as the label file writes them.
        base: folder of the label file below the image folder, for names that are relative to it.
        place: label file or folder, for errors.

    Returns:
        Name → file below the image folder, without names that lead outside of it; a name without a file is kept as it
        is. And notes on inexact matches.

    Raises:
        ConfigError: several files match a name, or several names a file.
    """
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    outside: set[str] = set()
    root_exists = files.root.is_dir()
    label_folder = (place if place.is_dir() else place.parent).absolute().as_posix()
    for name in dict.fromkeys(names):
        path = inside(name, files.root)
        if path is None and name.startswith(".."):
            path = inside(f"{label_folder}/{name}", files.root)
        if path is None:
            if root_exists and ".." not in (parts := name.replace("\\", "/").strip("/").split("/")):
                missing[name] = "/".join(part for part in parts if part)
                outside.add(name)
        elif not root_exists or path == "." or files.exact(path):
            found[name] = path
        elif base and files.exact(f"{base}/{path}"):
            found[name] = f"{base}/{path}"
        else:
            missing[name] = path
    taken = set(found.values()) if missing else set()
    name_of: dict[str, str] = {}
    for name, path in missing.items():
        candidates = [file for file in files.matches(path) if file not in taken]
        if len(candidates) > 1:
            first = ", ".join(candidates[:3])
            raise ConfigError(
                f"{place}: {name!r} matches {len(candidates)} files in {files.root} ({first}); add its folder",
                key="labels",
            )
        if candidates:
            file = candidates[0]
            if file in name_of:
                raise ConfigError(
                    f"{place}: {name_of[file]!r} and {name!r} both match {file}; write file names as they are on disk",
                    key="labels",
                )
            name_of[file] = name
            found[name] = file
        elif name not in outside:
            found[name] = path
    return found, [*_backslash_note(found), *_match_notes(name_of)]


def _backslash_note(found: dict[str, str]) -> list[str]:
    names = [name for name in found if "\\" in name]
    return [f"{len(names)} file names have backslashes, which are read as / (first: {names[0]})"] if names else []


def _match_notes(name_of: dict[str, str]) -> list[str]:
    """How names were matched inexactly, one note for each kind of difference.

    Args:
        name_of: file → the name that matched it.
    """
    counts: Counter[str] = Counter()
    first: dict[str, str] = {}
    for file, name in name_of.items():
        difference = _difference(name.replace("\\", "/"), file)
        counts[difference] += 1
        first.setdefault(difference, f"{name} is {file}")
    return [
        f"{count} file names were matched {difference} (first: {first[difference]})"
        for difference, count in counts.items()
    ]


def _difference(name: str, file: str) -> str:
    """How a name differs from the file that it matches."""
    differences = []
    base, other = posixpath.basename(name), posixpath.basename(file)
    if _stem(_fold(base))[0] != _stem(_fold(other))[0]:
        differences.append("after decoding URLs or uploads")
        name = decoded(name)
        base = posixpath.basename(name)
    if not _stem(_fold(base))[1] and _stem(_fold(other))[1]:
        differences.append("by adding the extension")
        other = posixpath.splitext(other)[0]
    elif posixpath.splitext(_fold(base))[1] != posixpath.splitext(_fold(other))[1]:
        differences.append("by another extension of the same format")
        base, other = posixpath.splitext(base)[0], posixpath.splitext(other)[0]
    if unicodedata.normalize("NFC", base) == unicodedata.normalize("NFC", other) != base or base != other:
        composed = unicodedata.normalize("NFC", base) == unicodedata.normalize("NFC", other)
        differences.append("in another Unicode composition" if composed else "ignoring case")
    extra_folders = name.strip("/").count("/") - file.count("/")
    if extra_folders:
        differences.append("in a subfolder" if extra_folders < 0 else "without their leading folders")
    return " and ".join(differences) or "ignoring case"
