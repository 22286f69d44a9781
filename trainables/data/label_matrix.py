"""The order of labels, and the matrix of images and labels."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from thaw.spaces.errors import ConfigError
from thaw.spaces.words import counted

MAX_CELLS = 10**9
"""Most cells of the label matrix, one byte each. A column of remarks would have a label for each image."""


def sorted_labels(labels: Iterable[str]) -> list[str]:
    """The distinct labels, sorted numerically if all are integers, else alphabetically."""
    distinct = sorted(set(labels))
    return sorted(distinct, key=int) if all(re.fullmatch(r"-?[0-9]+", label) for label in distinct) else distinct


def check_order(order: Sequence[str], images: int, source: Path) -> None:
    """Checks that label names can be encoded as text, and that their matrix fits into memory.

    Args:
        source: the label file, for errors.

    Raises:
        ConfigError: a name is not valid Unicode, or there are too many labels.
    """
    for name in order:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            message = f"a label must be valid text, got {name!r} ({error.reason}); correct it"
            raise ConfigError(f"{source}: {message}", key="labels") from None
    if len(order) * images > MAX_CELLS:
        raise ConfigError(
            f"{source}: {counted(len(order), 'different label')} for {counted(images, 'image')}, like remarks; "
            f"name the column of labels by "
            "data.columns.labels",
            key="labels",
        )


def label_matrix(labels: Sequence[frozenset[str]], order: Sequence[str]) -> np.ndarray:
    """Whether each image has each label: bool (images, labels), with columns in the given order."""
    column = {label: number for number, label in enumerate(order)}
    counts = np.fromiter(map(len, labels), np.int64, len(labels))
    columns = np.fromiter((column[label] for one in labels for label in one), np.int64, counts.sum())
    matrix = np.zeros((len(labels), len(order)), bool)
    matrix[np.repeat(np.arange(len(labels)), counts), columns] = True
    return matrix
