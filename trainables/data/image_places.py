"""Finds image files: in a folder, by a pattern, as a file, or in a text file that lists them."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from thaw.spaces import ConfigError
from thaw.spaces.paths import expanded
from thaw.trainables.data.label_files import looks_like_image
from thaw.trainables.data.own_results import holds_own_results
from thaw.trainables.data.visible import is_visible

WILDCARDS = "*?["


def find_images(places: Sequence[str]) -> dict[str, Path]:
    """Name → path of all image files in the given places, each file once, in the order of the places.

    A name is relative to its place: to the folder, or to the part of a pattern before its wildcards. A single file is
    called by its name, an entry of a list as written. If two files would have the same name, all are called by path.

    Args:
        places: each a folder (searched recursively, without Thaw's own results), a pattern such as
            ``photos/**/*.jpg``, an image file, or a text file with one path per line, relative to its own folder.

    Raises:
        ConfigError: a place does not exist, or no image is found.
    """
    found = list(dict.fromkeys(pair for place in places for pair in _images_of(place)))
    names = {name for name, _ in found}
    if len(names) < len(found):
        return {path.as_posix(): path for _, path in found}
    return dict(found)


def _images_of(place: str) -> list[tuple[str, Path]]:
    path = expanded(place)
    if path.is_dir():
        found = [(file.relative_to(path).as_posix(), file) for file in sorted(_below(path))]
    elif path.exists():
        return [(path.name, path)] if looks_like_image(path.name) else list(_listed(path))
    elif any(wildcard in place for wildcard in WILDCARDS):
        root = _fixed_part(path)
        files = map(Path, sorted(glob.glob(str(path), recursive=True)))
        found = [(file.relative_to(root).as_posix(), file) for file in files]
    else:
        raise ConfigError(f"{place} does not exist; give a folder, a pattern, an image or a list of images", "IMAGES")
    visible = [(name, file) for name, file in found if all(map(is_visible, Path(name).parts))]
    images = [(name, file) for name, file in visible if looks_like_image(name) and not file.is_dir()]
    if not images:
        raise ConfigError(f"no image found in {place}; give another folder or pattern", "IMAGES")
    return images


def _below(folder: Path) -> Iterator[Path]:
    """Everything below a folder, except what Thaw itself has written."""
    for file in filter(lambda file: is_visible(file.name), folder.iterdir()):
        yield file
        if file.is_dir() and not file.is_symlink() and not holds_own_results(file):
            yield from _below(file)


def _fixed_part(pattern: Path) -> Path:
    """The part of a pattern before its first wildcard."""
    parts = pattern.parts
    wild = next(number for number, part in enumerate(parts) if any(wildcard in part for wildcard in WILDCARDS))
    return Path(*parts[:wild])


def _listed(file: Path) -> Iterator[tuple[str, Path]]:
    try:
        # A pipe may be a list: `<(find …)`.
        if file.is_char_device():
            raise OSError("a device")
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{file} must be an image or a text file with one path per line, got {error}; give another file", "IMAGES"
        ) from None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ConfigError(f"{file} lists no images; write one path per line", "IMAGES")
    for line in lines:
        yield line, Path(os.path.normpath(file.parent / expanded(line)))
