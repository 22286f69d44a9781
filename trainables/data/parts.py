"""Names of the three parts of a split, in folders and columns."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

TRAIN, VALIDATION, TEST = range(3)

PART_WORDS = ("train", "validation", "test")
"""Part → its name."""

PART_NAMES = {
    **dict.fromkeys(("train", "training", "trn", "trainval"), TRAIN),
    **dict.fromkeys(("validation", "validate", "valid", "val", "dev", "devel", "development", "eval"), VALIDATION),
    **dict.fromkeys(("test", "testing", "tst", "holdout", "heldout"), TEST),
}
"""Usual name → part. Case, ``-``, ``_`` and blanks are ignored (``hold-out``), and so are ``set``, ``split``, ``data``
and ``images`` at the end."""

FLAGS = {**dict.fromkeys(("1", "1.0", "true", "yes"), True), **dict.fromkeys(("0", "0.0", "false", "no"), False)}
"""Cells of a column such as ``is_valid``, in lower case → value."""

SPLIT_WORDS = ("split", "subset", "partition", "fold", "kfold", "phase", "usage")
"""Other words in headings of split columns."""


def part_of(name: str) -> int | None:
    """The part that the name of a folder or a cell stands for; None for any other text."""
    word = re.sub(r"[\s_.-]+", "", name).casefold()
    return PART_NAMES.get(word, PART_NAMES.get(re.sub(r"(set|split|data|images|imgs|img)$", "", word)))


def words_of(name: str) -> list[str]:
    """The words of a name in lower case: ``trainA`` → train, a; ``val2017`` → val, 2017."""
    apart = re.sub(r"([a-z])([A-Z])", r"\1_\2", name)
    return re.findall(r"[^\W\d_]+|\d+", apart.casefold())


def part_within(name: str) -> int | None:
    """The part named by one word of a name: ``train_cats`` → train; None if no word or several name a part."""
    named = [PART_NAMES[word] for word in words_of(name) if word in PART_NAMES]
    return named[0] if len(named) == 1 else None


def without_part(name: str) -> str:
    """A name without the words that name a part, in lower case: ``train_images`` → images."""
    return "_".join(word for word in words_of(name) if word not in PART_NAMES)


def parts_of_folders(names: Iterable[str]) -> dict[str, int]:
    """Folder → part, for folders whose name is that of a part, or that differ from each other only in such a word.

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
    """The part that the heading of a yes/no column names: ``is_valid`` → validation; None if it names none."""
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", heading).casefold())
    named = {part for word in words if (part := PART_NAMES.get(word)) is not None}
    if len(named) != 1 or any(word not in PART_NAMES and word not in _FLAG_WORDS for word in words):
        return None
    return named.pop()


_FLAG_WORDS = ("is", "in", "img", "image", "images", "set", "split", "data", "flag", "hold", "out", "held")
"""Words that may accompany the name of a part in the heading of a yes/no column."""


def is_split_heading(heading: str) -> bool:
    """Whether the heading of a column suggests a split."""
    return flagged_part(heading) is not None or has_split_word(heading)


def has_split_word(name: str) -> bool:
    """Whether a name contains a word for a split."""
    return any(word in SPLIT_WORDS for word in words_of(name))


def parts_of(heading: str, cells: Iterable[str]) -> dict[str, int] | None:
    """Cell → part, for a column that defines a split; None if the column does not.

    Either the cells name parts, or they are yes and no and the heading names a part. Images not in the validation or
    test part are training images; images not in the training part are validation images.
    """
    values = set(cells)
    named = {cell: part for cell in values if (part := part_of(cell)) is not None}
    if len(named) == len(values):
        return named
    part = flagged_part(heading)
    if part is None or any(cell.casefold() not in FLAGS for cell in values):
        return None
    other = VALIDATION if part == TRAIN else TRAIN
    return {cell: part if FLAGS[cell.casefold()] else other for cell in values}
