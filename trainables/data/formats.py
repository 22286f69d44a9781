"""The formats of label files: the table of their readers, and which one a file needs.

A reader only says which file carries which labels, in the words of the label file. Names, duplicates and the label
matrix are the business of :mod:`thaw.trainables.data.dataset`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from thaw.trainables.data.annotations import read_coco, read_folders, read_voc
from thaw.trainables.data.csv_labels import read_csv, read_paper
from thaw.trainables.data.label_files import Rows, text_of

READERS: dict[str, Callable[[Path, Path | None, dict[str, str] | None], Rows]] = {
    "csv": read_csv,
    "paper": read_paper,
    "coco": read_coco,
    "voc": read_voc,
    "folders": read_folders,
}
"""``data.format`` → reader of (image folder, label file or folder, listed classes)."""


def detect_format(labels: Path | None) -> str:
    """What ``format: auto`` takes the labels for."""
    if labels is None:
        return "folders"
    if labels.is_dir():
        return "voc"
    if labels.suffix.lower() == ".json":
        return "coco"
    first_line = text_of(labels, "labels").lstrip().partition("\n")[0]
    return "paper" if re.fullmatch(r"[^\t]+\.\w+\t\d+(,\d+)*\s*", first_line) else "csv"
