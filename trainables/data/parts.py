"""The words for the three parts of a split, in folders and columns."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

TRAIN, VALIDATION, TEST = range(3)

PART_WORDS = ("train", "validation", "test")
"""Part → its word."""

PART_NAMES = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), TRAIN),
    **dict.fromkeys(("validation", "valid", "val", "dev", "devel", "development", "eval"), VALIDATION),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), TEST),
}
"""What a part is called, in upper or lower case, with or without ``-``, ``_`` or a blank (``hold-out``), and with or
without ``set``, ``split``, ``data`` or ``images`` behind it."""

FLAGS = {**dict.fromkeys(("1", "1.0", "true", "yes"), True), **dict.fromkeys(("0", "0.0", "false", "no"), False)}
"""What a column such as ``is_valid`` may say, in upper or lower case."""

SPLIT_WORDS = ("split", "subset", "partition", "fold", "kfold", "phase", "usage")
"""Other words of headings that speak of a split."""


def part_of(name: str) -> int | None:
    """The part that a folder or cell names; None for any other text."""
    word = re.sub(r"[\s_.-]+", "", name).casefold()
    return PART_NAMES.get(word, PART_NAMES.get(re.sub(r"(set|split|data|images|imgs|img)$", "", word)))


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: ``trainA`` → train, a; ``val2017`` → val, 2017."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1_\2", name)
    return re.findall(r"[^\W\d_]+|\d+", apart.casefold())


def part_within(name: str) -> int | None:
    """The part that one word of a name speaks of: ``train_cats`` → train; None for no such word, or several."""
    named = [PART_NAMES[word] for word in words_of(name) if word in PART_NAMES]
    return named[0] if len(named) == 1 else None


def without_part(name: str) -> str:
    """A name without its words for parts, in lower case: ``train_images`` → images."""
    return "_".join(word for word in words_of(name) if word not in PART_NAMES)


def parts_of_folders(names: Iterable[str]) -> dict[str, int]:
    """Folder → part, for those that their names make a part: alone, or beside others that differ in that word only.

    Example:
        >>> parts_of_folders(["seg_train", "seg_test", "notes"])
        {'seg_train': 0, 'seg_test': 2}
    """
    families: dict[str, dict[str, int]] = defaultdict(dict)
    found = {}
    for name in names:
        if (part := part_of(name)) is not None:
            found[name] = part
        if (part := part_within(name)) is not None:
            families[without_part(name)][name] = part
    for family in families.values():
        if len(set(family.values())) > 1:
            found |= family
    return found


def flagged_part(heading: str) -> int | None:
    """The part that a column of yes and no speaks of: ``is_valid`` → validation; None where its heading names none."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", heading).casefold())
    named = {part for word in words if (part := PART_NAMES.get(word)) is not None}
    if len(named) != 1 or any(word not in PART_NAMES and word not in _BESIDE for word in words):
        return None
    return named.pop()


_BESIDE = ("is", "in", "img", "image", "images", "set", "split", "data", "flag", "hold", "out", "held")


def speaks_of_split(heading: str) -> bool:
    """Whether a column is about a split by its heading."""
    return flagged_part(heading) is not None or called_split(heading)


def called_split(name: str) -> bool:
    """Whether a name says that something is a split, whatever its parts."""
    return any(word in SPLIT_WORDS for word in words_of(name))


def parts_of(heading: str, cells: Iterable[str]) -> dict[str, int] | None:
    """Cell → part, for a column that says where each image belongs; None where a cell says something else.

    Either the cells name parts, or they say yes and no to the part that the heading names. What is not in the
    validation or test part trains; what is not in the training part validates.
    """
    different = set(cells)
    named = {cell: part for cell in different if (part := part_of(cell)) is not None}
    if len(named) == len(different):
        return named
    part = flagged_part(heading)
    if part is None or any(cell.casefold() not in FLAGS for cell in different):
        return None
    other = VALIDATION if part == TRAIN else TRAIN
    return {cell: part if FLAGS[cell.casefold()] else other for cell in different}
