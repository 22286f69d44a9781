"""Which files and folders count: neither hidden ones nor what the system keeps on a disk."""

from __future__ import annotations

SYSTEM_FOLDERS = ("lost+found", "$recycle.bin", "#recycle", "system volume information")
"""Folders for what is lost or deleted, in lower case. Many are closed to everyone."""


def is_visible(name: str) -> bool:
    """Whether a file or folder of this name counts. `name` is one part of a path, such as ``photo.jpg``."""
    return not name.startswith(".") and name.lower() not in SYSTEM_FOLDERS
