"""Joins the rows of a label file into one entry per image."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from thaw.spaces.words import counted

CONTRADICTING = "rows with contradicting labels"
"""Reason for rejecting an image with several rows."""


@dataclass(frozen=True)
class Joined:
    """The usable files.

    Args:
        files: their names, unique.
        labels: labels of each file.
        rows: number of the first row of each file.
        rejected: (file, reason) of the others.
        notes: notes on repeated rows, one sentence each.
        advice: how to make rejected images usable.
    """

    files: tuple[str, ...]
    labels: list[frozenset[str]]
    rows: list[int]
    rejected: tuple[tuple[str, str], ...]
    notes: list[str]
    advice: str


def join_rows(files: Sequence[str], labels: Sequence[frozenset[str]], matches: dict[str, str], repeated: str) -> Joined:
    """Joins the rows of each file.

    Args:
        files: the name in each row.
        labels: the labels of each row.
        matches: name → file; names that are not keys lead outside the image folder.
        repeated: a key of ``reading.REPEATED_ROWS``.
    """
    numbers: dict[str, list[int]] = defaultdict(list)
    rejected = []
    for i, name in enumerate(files):
        path = matches.get(name)
        if path is None or path == ".":
            rejected.append((name, "no file name" if path else "outside the image folder"))
        else:
            numbers[path].append(i)
    kept: dict[str, frozenset[str]] = {}
    repeats, contradictory = 0, []
    for path, same in numbers.items():
        label_sets = {labels[i] for i in same}
        if len(label_sets) == 1 or repeated == "add":
            kept[path] = labels[same[0]] if len(label_sets) == 1 else frozenset().union(*label_sets)
            repeats += len(same) - 1
        else:
            contradictory.append(path)
    rejected += [(path, CONTRADICTING) for path in contradictory]
    notes = []
    if repeats:
        what = "their labels are joined" if repeated == "add" else "the labels are equal, so each image is used once"
        notes.append(f"{counted(repeats, 'row repeats', 'rows repeat')} an image: {what}")
    advice = "correct them"
    if rejected and not kept:
        advice = "names must lead to files below data.images; set it to the folder that holds them"
    if contradictory:
        advice = "data.rows: add gives an image the labels of all its rows"
        notes.append(
            f"{counted(len(contradictory), 'image has', 'images have')} rows with different labels (first: "
            f"{contradictory[0]}); {advice}"
        )
    rows = [numbers[path][0] for path in kept]
    return Joined(tuple(kept), list(kept.values()), rows, tuple(rejected), notes, advice)
