"""What a reader of labels is given: where images and labels lie, and what the search file says about them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from thaw.trainables.data.names import FileIndex

SEPARATORS = {"auto": "recognised from the cells", "none": "a cell is one label, whatever signs it holds"}
"""Words of ``data.separator`` → meaning; any other text is the separator itself."""

REPEATED_ROWS = {
    "unique": "an image has one row; equal rows are used once, different ones reject the image",
    "add": "an image has the labels of all its rows together",
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
    """How labels are to be read, as the search file says it.

    Args:
        image: column of the file names; recognised from the cells where None.
        labels: columns of the labels; recognised where empty.
        separator: a key of `SEPARATORS`, or the sign between the labels of a cell.
        rows: a key of `REPEATED_ROWS`.
        uncertain: a key of `UNCERTAIN`.
        encoding: of label file and class names: ``auto``, or a name that Python knows.
        reserved: columns that mean something else (split, group), so they are never labels.
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
    """Where images and labels lie.

    Args:
        images: the image folder.
        labels: label file, or folder of annotation files; None where the image folder says it all.
        known: label ids and names that are known beforehand, from ``data.classes``.
        reading: what the search file says.
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
        """What errors name: the labels, or the image folder."""
        return self.labels or self.images

    @property
    def base(self) -> str:
        """Folder of the label file below the image folder, such as ``train``; empty where it lies elsewhere."""
        if self.labels is None:
            return ""
        folder = self.labels if self.labels.is_dir() else self.labels.parent
        try:
            return "" if folder == self.images else folder.relative_to(self.images).as_posix()
        except ValueError:
            return ""
