"""Names in a label file → files in the image folder: exactly, or else by a unique match that is said."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.label_files import IMAGE_SUFFIXES
from thaw.trainables.data.own_results import holds_own_results


def listing(folder: Path) -> set[str] | None:
    """What a folder holds; None where that cannot be found out."""
    try:
        return set(os.listdir(folder))
    except (FileNotFoundError, NotADirectoryError):
        return set()
    except (OSError, ValueError):
        return None


class FileIndex:
    """The files below an image folder, looked up by what a label file may call them.

    Folders are listed when they are needed, and each once; no file is opened.

    Args:
        root: the image folder; it may be absent, then no name is matched.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._listings: dict[str, set[str] | None] = {}

    def exact(self, name: str) -> bool:
        """Whether there is a file of this very name; also where the folder must not be listed."""
        folder, _, base = name.rpartition("/")
        if folder not in self._listings:
            self._listings[folder] = listing(self.root / folder)
        names = self._listings[folder]
        return names is None or base in names

    def knows(self, name: str) -> bool:
        """Whether `name` means a file, exactly or loosely."""
        path = inside(name, self.root)
        return (
            path is not None and path != "." and self.root.is_dir() and (self.exact(path) or bool(self.matches(path)))
        )

    def matches(self, name: str) -> list[str]:
        """The files that `name` may mean: another case, Unicode composition or folder in front, or no ending."""
        *folders, base = (_fold(part) for part in name.split("/"))
        stem, ending = _stem(base)
        found = []
        for file in self._by_stem.get(stem, ()):
            *above, other = (_fold(part) for part in file.split("/"))
            common = min(len(folders), len(above))
            same_place = not common or folders[-common:] == above[-common:]
            if same_place and ending in ("", _stem(other)[1]):
                found.append(file)
        return found

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        table: dict[str, list[str]] = defaultdict(list)
        for file in self._walk():
            table[_stem(_fold(posixpath.basename(file)))[0]].append(file)
        return dict(table)

    def _walk(self) -> Iterator[str]:
        """Every visible file, by its path below the root; links are followed, each folder is read once."""
        seen: set[tuple[int, int]] = set()
        for place, folders, files in os.walk(self.root, followlinks=True):
            status = os.stat(place)
            identity = (status.st_dev, status.st_ino)
            if identity in seen or (Path(place) != self.root and holds_own_results(Path(place))):
                folders.clear()
                continue
            seen.add(identity)
            folders[:] = sorted(folder for folder in folders if not folder.startswith("."))
            above = os.path.relpath(place, self.root).replace(os.sep, "/")
            prefix = "" if above == "." else f"{above}/"
            yield from (prefix + file for file in sorted(files) if not file.startswith("."))


def _fold(text: str) -> str:
    return unicodedata.normalize("NFC", text).casefold()


def _stem(folded: str) -> tuple[str, str]:
    """(name, ending) of a folded file name; without an image's ending all of it is the name."""
    stem, ending = posixpath.splitext(folded)
    return (stem, ending) if ending in IMAGE_SUFFIXES else (folded, "")


def inside(name: str, root: Path) -> str | None:
    """A name below the image folder in one spelling (``./a//b.jpg``, ``a\\b.jpg`` → ``a/b.jpg``); None if outside."""
    path = posixpath.normpath(name.replace("\\", "/"))
    if path.startswith("/"):
        for folder in dict.fromkeys((root.absolute(), root.resolve())):
            if path.startswith(f"{folder.as_posix()}/"):
                return path[len(folder.as_posix()) + 1 :]
        return None
    outside = path.split("/", 1)[0] == ".." or re.match(r"[A-Za-z]:/", path)
    # A million names need not be kept twice.
    return None if outside else name if path == name else path


def match_names(names: Iterable[str], files: FileIndex, base: str, place: Path) -> tuple[dict[str, str], list[str]]:
    """Finds the file that each name means.

    An exact match comes first; ``../images/a.jpg`` counts from the folder of the label file. Of the files that no name
    matches exactly, one that differs only in its ending (where the name has none), case, Unicode composition, or
    folders in front is taken if it is the only one.

    Args:
        names: as the label file writes them.
        base: folder of the label file below the image folder, for names that are relative to it.
        place: what errors name.

    Returns:
        name → file below the image folder, left out where the name leads outside of it; a name without a file stays
        itself. And what was done, as notes.

    Raises:
        ConfigError: several files match a name, or several names a file.
    """
    found: dict[str, str] = {}
    missing: dict[str, str] = {}
    outside: set[str] = set()
    there = files.root.is_dir()
    beside = (place if place.is_dir() else place.parent).absolute().as_posix()
    for name in dict.fromkeys(names):
        path = inside(name, files.root)
        if path is None and name.startswith(".."):
            path = inside(f"{beside}/{name}", files.root)
        if path is None:
            if there and ".." not in (parts := name.replace("\\", "/").strip("/").split("/")):
                missing[name] = "/".join(part for part in parts if part)
                outside.add(name)
        elif not there or path == "." or files.exact(path):
            found[name] = path
        elif base and files.exact(f"{base}/{path}"):
            found[name] = f"{base}/{path}"
        else:
            missing[name] = path
    taken = set(found.values()) if missing else set()
    meant: dict[str, str] = {}
    for name, path in missing.items():
        candidates = [file for file in files.matches(path) if file not in taken]
        if len(candidates) > 1:
            first = ", ".join(candidates[:3])
            raise ConfigError(
                f"{place}: {name!r} may be {len(candidates)} files in {files.root} ({first}); write it with its folder",
                key="labels",
            )
        if candidates:
            file = candidates[0]
            if file in meant:
                raise ConfigError(
                    f"{place}: {meant[file]!r} and {name!r} may both be {file}; write file names as they are on disk",
                    key="labels",
                )
            meant[file] = name
            found[name] = file
        elif name not in outside:
            found[name] = path
    return found, [*_backslashes(found), *_loose(meant)]


def _backslashes(found: dict[str, str]) -> list[str]:
    written = [name for name in found if "\\" in name]
    return [f"{len(written)} file names have backslashes, read as / (first: {written[0]})"] if written else []


def _loose(meant: dict[str, str]) -> list[str]:
    """How names without an exact match were matched, a sentence for each way."""
    ways: Counter[str] = Counter()
    first: dict[str, str] = {}
    for file, name in meant.items():
        way = _way(name.replace("\\", "/"), file)
        ways[way] += 1
        first.setdefault(way, f"{name} is {file}")
    return [f"{count} file names were matched {way} (first: {first[way]})" for way, count in ways.items()]


def _way(name: str, file: str) -> str:
    ways = []
    base, other = posixpath.basename(name), posixpath.basename(file)
    if not _stem(_fold(base))[1] and _stem(_fold(other))[1]:
        ways.append("without their ending")
        other = posixpath.splitext(other)[0]
    if unicodedata.normalize("NFC", base) == unicodedata.normalize("NFC", other) != base or base != other:
        composed = unicodedata.normalize("NFC", base) == unicodedata.normalize("NFC", other)
        ways.append("in another Unicode composition" if composed else "in another case")
    deep = name.strip("/").count("/") - file.count("/")
    if deep:
        ways.append("below a folder" if deep < 0 else "without the folder in front")
    return " and ".join(ways) or "in another case"
