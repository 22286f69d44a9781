"""From rows of a label file to one entry an image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

CONTRADICTING = "rows with contradicting labels"
"""Why an image with several rows is rejected."""


@dataclass(frozen=True)
class Joined:
    """One entry for each file that can be used: its labels, and the first of its rows; what could not; and notes."""

    files: tuple[str, ...]
    labels: list[frozenset[str]]
    rows: list[int]
    rejected: tuple[tuple[str, str], ...]
    notes: list[str]
    advice: str


def join_rows(files: Sequence[str], labels: Sequence[frozenset[str]], meant: dict[str, str], repeated: str) -> Joined:
    """Brings the rows of each file together.

    Args:
        files: the name in each row.
        labels: of each row.
        meant: name → file; names that are absent lead outside the image folder.
        repeated: a key of ``reading.REPEATED_ROWS``.
    """
    numbers: dict[str, list[int]] = defaultdict(list)
    rejected = []
    for i, name in enumerate(files):
        path = meant.get(name)
        if path is None or path == ".":
            rejected.append((name, "no file name" if path else "outside the image folder"))
        else:
            numbers[path].append(i)
    kept: dict[str, frozenset[str]] = {}
    repeats, contradicted = 0, []
    for path, same in numbers.items():
        different = {labels[i] for i in same}
        if len(different) == 1 or repeated == "add":
            kept[path] = labels[same[0]] if len(different) == 1 else frozenset().union(*different)
            repeats += len(same) - 1
        else:
            contradicted.append(path)
    rejected += [(path, CONTRADICTING) for path in contradicted]
    notes = []
    if repeats:
        what = "added to the first" if repeated == "add" else "the same labels, so each image is used once"
        notes.append(f"{repeats} rows repeat an image: {what}")
    advice = "correct them"
    if contradicted:
        advice = "data.rows: add gives an image the labels of all its rows"
        notes.append(f"{len(contradicted)} images have rows with different labels (first: {contradicted[0]}); {advice}")
    rows = [numbers[path][0] for path in kept]
    return Joined(tuple(kept), list(kept.values()), rows, tuple(rejected), notes, advice)
