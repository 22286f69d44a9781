"""Labels from a CSV file of Google's AutoML or Vertex AI: ``TRAIN,gs://bucket/a.jpg,cat,dog``, without headings."""

from __future__ import annotations

import csv
import io
import re

import pandas as pd

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.label_files import Rows, text_of
from thaw.trainables.data.parts import part_of
from thaw.trainables.data.reading import Source

USES = ("TRAIN", "TRAINING", "VALIDATE", "VALIDATION", "TEST", "UNASSIGNED")
USE_COLUMN = "ml_use"

_ROW = re.compile(rf'"?(?:(?:{"|".join(USES)})"?,"?gs://[^,\n]+|gs://[^,\n]+,[^,\n]+),', re.IGNORECASE)
"""The first row: a use and an image, or an image and more than one label. A table of two columns needs no rules."""


def is_automl(text: str) -> bool:
    """Whether a text begins like a file of AutoML."""
    return _ROW.match(text) is not None


def read_automl(source: Source) -> Rows:
    """Each row has a use (or none), an image, and its labels; the uses become a column for ``data.split.column``.

    A row without labels is rejected: that its image has none is not known.

    Raises:
        ConfigError: a row has no image, or it has the positions of a box.
    """
    path = source.labels
    assert path is not None
    notes: list[str] = []
    text = text_of(path, "labels", source.reading.encoding, notes)
    files, sets, uses, rejected = [], [], [], []
    try:
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if any(map(str.strip, row))]
    except csv.Error as error:
        raise ConfigError(f"{path}: is not a table of text ({error}); close every quote", key="labels") from None
    for number, row in enumerate(rows, 1):
        cells = [cell.strip() for cell in row]
        use = cells.pop(0) if cells[0].upper() in USES else ""
        file, labels = cells[0] if cells else "", [cell for cell in cells[1:] if cell]
        if not file.startswith("gs://"):
            raise ConfigError(
                f"{path}: row {number} must be TRAIN,gs://bucket/a.jpg,label as of AutoML, got "
                f"{', '.join(row)[:60]!r}; correct the row, or add headings such as split,filename,labels",
                key="labels",
            )
        if len(labels) > 1 and all(re.fullmatch(r"[01]?\.\d+|[01]", label) for label in labels[1:]):
            raise ConfigError(
                f"{path}: row {number} holds the positions of a box ({', '.join(labels)[:60]}); keep only use, image "
                "and labels",
                key="labels",
            )
        if not labels:
            rejected.append((file, "no label in its row"))
            continue
        files.append(file)
        sets.append(frozenset(labels))
        uses.append(use)
    if any(uses):
        usable = all(part_of(use) is not None for use in uses)
        how = f"data.split.column: {USE_COLUMN} uses it" if usable else "not usable, as some rows are in no part"
        notes.append(f"the first column is a split into training, validation and test; {how}")
    columns = pd.DataFrame({USE_COLUMN: uses}, dtype=object)
    return Rows(files, sets, columns=columns, rejected=tuple(rejected), notes=("export of AutoML", *notes))
