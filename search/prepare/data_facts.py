"""Label statistics of a data set, by split, as plain values for ``provenance.json``."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from thaw.trainables.data.splits import Split

SAMPLE = 6
"""The number of training images that a report may show."""


def spread(rows: np.ndarray, count: int) -> list[int]:
    """Some of the rows, evenly spread."""
    return [int(row) for row in rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]]


def label_facts(labels: np.ndarray, split: Split) -> dict[str, Any]:
    """Counts of labels, of labels per image, and of label pairs.

    Args:
        labels: bool (images, labels).
        split: rows of `labels`; images in no split, such as damaged ones, are not counted.

    Returns:
        ``counts``: split → images with each label; ``per_image``: split → number of labels (as text) → images with that
        many, none left out but zeros; ``cooccurrence``: (labels, labels) images of all splits with both labels, so the
        diagonal holds each label's support.
    """
    rows = {part.name: labels[getattr(split, part.name)].astype(np.int64) for part in fields(split)}
    every = np.concatenate(list(rows.values()))
    return {
        "counts": {name: part.sum(axis=0).tolist() for name, part in rows.items()},
        "per_image": {name: _per_image(part) for name, part in rows.items()},
        "cooccurrence": (every.T @ every).tolist(),
    }


def _per_image(labels: np.ndarray) -> dict[str, int]:
    counts = np.bincount(labels.sum(axis=1))
    return {str(number): int(count) for number, count in enumerate(counts) if count}
