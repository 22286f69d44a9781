"""Why the images that a label file names are absent: what their names have in common with the files that are there."""

from __future__ import annotations

import posixpath
import re
import sys
from collections.abc import Callable, Sequence

from thaw.trainables.data.label_files import looks_like_image

CAUSES: tuple[tuple[Callable[[str], str | None], str], ...] = (
    (
        lambda name: str(int(float(stem))) if re.fullmatch(r"\d{1,30}(\.0+)?", stem := _stem(name)) else None,
        "leading zeros, which spreadsheets remove; write names as they are on disk",
    ),
    (
        lambda name: _stem(name) or None,
        "the extension, and one of another format may be that of a mask; write names as they are on disk",
    ),
)
"""What two names share, or None, and in what they differ, with the fix."""


def absence_hint(absent: Sequence[str], files: Sequence[str]) -> str:
    """The probable cause and its fix; empty if none is known.

    Args:
        absent: names without a file.
        files: files without a name.
    """
    encoding = sys.getfilesystemencoding()
    if encoding != "utf-8" and sum(not name.isascii() for name in absent) > len(absent) / 2:
        return f"Python takes file names for {encoding} here; set the variable PYTHONUTF8=1"
    for shared, difference in CAUSES:
        there = {key: file for file in reversed(files) if (key := shared(file)) is not None}
        found = [(name, there[key]) for name in absent if (key := shared(name)) is not None and key in there]
        if len(found) > len(absent) / 2:
            name, file = found[0]
            return f"{name!r} and the file {file!r} differ only in {difference}"
    return ""


def _stem(name: str) -> str:
    """The name without folders and without the extension of an image: ``1.0`` has none."""
    base = posixpath.basename(name)
    return posixpath.splitext(base)[0] if looks_like_image(base) else base
