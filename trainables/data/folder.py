"""The content of a folder of images."""

from __future__ import annotations

import os
from pathlib import Path

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.label_files import looks_like_image
from thaw.trainables.data.visible import is_visible


class Folder:
    """The content of a folder by name: folders, images (`files`), other files, and broken links; visible ones only."""

    def __init__(self, path: Path) -> None:
        self.folders: list[str] = []
        self.files: list[str] = []
        self.others: list[str] = []
        self.broken: list[str] = []
        try:
            status = os.stat(path)
            self.identity = (status.st_dev, status.st_ino)
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if is_visible(entry.name):
                        self._add(entry)
        except OSError as error:
            message = f"{path} is not a readable folder ({error.strerror}); correct the path or its permissions"
            raise ConfigError(message, key="images") from error

    def _add(self, entry: os.DirEntry[str]) -> None:
        link = entry.is_symlink()
        if link and not os.path.exists(entry):
            self.broken.append(entry.name)
        elif os.path.isdir(entry) if link else entry.is_dir():
            self.folders.append(entry.name)
        elif looks_like_image(entry.name):
            self.files.append(entry.name)
        else:
            self.others.append(entry.name)

    def faults(self, prefix: str) -> list[tuple[str, str]]:
        """(file, reason) of the broken links."""
        return [(prefix + name, "broken link") for name in self.broken]
