"""The input of a reader of labels: the paths of images and labels, and the settings of the search file."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from thaw.trainables.data.names import FileIndex

SEPARATORS = {"auto": "recognised from the cells", "none": "each cell is one label, whatever characters it holds"}
"""Special values of ``data.separator`` → meaning; any other text is the separator itself."""

REPEATED_ROWS = {
    "unique": "an image has one row; repeated equal rows count once, different rows reject the image",
    "add": "an image has the labels of all its rows",
}
"""``data.rows`` → meaning."""

UNCERTAIN = {
    "negative": "an uncertain label is absent",
    "positive": "an uncertain label is present",
    "drop": "an image with an uncertain label is left out",
}
"""``data.uncertain`` → meaning: what -1 stands for in a table of 1, 0 and -1."""


@dataclass(frozen=True)
class Reading:
    """The settings of the search file for reading labels.

    Args:
        image: column of file names; None to recognise it.
        labels: columns of labels; empty to recognise them.
        separator: a key of `SEPARATORS`, or the separator of the labels in a cell.
        rows: a key of `REPEATED_ROWS`.
        uncertain: a key of `UNCERTAIN`.
        encoding: encoding of label file and class names: ``auto``, or the name of a Python codec.
        reserved: columns with another role (split, group), which are never labels.
    """

    image: str | None = None
    labels: tuple[str, ...] = ()
    separator: str = "auto"
    rows: str = "unique"
    uncertain: str = "negative"
    encoding: str = "auto"
    reserved: frozenset[str] = frozenset()

    @property
    def named(self) -> frozenset[str]:
        """Headings that the search file names."""
        return self.reserved | {*self.labels} | ({self.image} if self.image else set())


@dataclass(frozen=True)
class Source:
    """The paths of images and labels.

    Args:
        images: the image folder.
        labels: label file, or folder of annotation files; None if the image folder defines the labels.
        known: label ids and names from ``data.classes``.
        reading: the settings of the search file.
    """

    images: Path
    labels: Path | None
    known: frozenset[str] = frozenset()
    reading: Reading = field(default_factory=Reading)

    @cached_property
    def files(self) -> FileIndex:
        return FileIndex(self.images)

    @property
    def place(self) -> Path:
        """The path that errors name: that of the labels, or the image folder."""
        return self.labels or self.images

    @property
    def base(self) -> str:
        """Folder of the label file relative to the image folder, such as ``train``; empty if it is not inside."""
        if self.labels is None:
            return ""
        folder = self.labels if self.labels.is_dir() else self.labels.parent
        try:
            return "" if folder == self.images else folder.relative_to(self.images).as_posix()
        except ValueError:
            return ""
