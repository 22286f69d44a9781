"""Labels in their order, and which image has which."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from thaw.spaces.errors import ConfigError

MAX_CELLS = 10**9
"""Labels times images that the label matrix may hold, a byte each: a column of remarks has a label for each image."""


def sorted_labels(labels: Iterable[str]) -> list[str]:
    """By number where all are whole numbers, else by letter."""
    different = sorted(set(labels))
    return sorted(different, key=int) if all(re.fullmatch(r"-?[0-9]+", label) for label in different) else different


def check_order(order: Sequence[str], images: int, source: Path) -> None:
    """Label names can be written as text, and their matrix fits into memory."""
    for name in order:
        try:
            name.encode()
        except UnicodeEncodeError as error:
            raise ConfigError(f"{source}: a label must be text, got {name!r} ({error.reason})", key="labels") from None
    if len(order) * images > MAX_CELLS:
        raise ConfigError(
            f"{source}: {len(order)} different labels for {images} images; is this the column of labels?", key="labels"
        )


def label_matrix(labels: Sequence[frozenset[str]], order: Sequence[str]) -> np.ndarray:
    """bool (images, labels)."""
    column = {label: number for number, label in enumerate(order)}
    counts = np.fromiter(map(len, labels), np.int64, len(labels))
    columns = np.fromiter((column[label] for one in labels for label in one), np.int64, counts.sum())
    matrix = np.zeros((len(labels), len(order)), bool)
    matrix[np.repeat(np.arange(len(labels)), counts), columns] = True
    return matrix
