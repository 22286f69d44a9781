"""Distinguishes folders of labels, folders of a split and other folders by their names."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.folder import Folder
from thaw.trainables.data.parts import has_split_word, part_of, part_within, without_part

NOT_LABELS = (
    *("images", "image", "imgs", "img", "photos", "pictures", "jpegimages", "labels", "annotations", "imagesets"),
    *("masks", "mask", "segmentationclass", "segmentationobject", "groundtruth", "ground_truth", "gt"),
)
"""Folders that are not labels if a data set has no others, in lower case."""

PARTS_OR_LABELS = ("train", "training", "valid", "dev", "development", "devel", "eval")
"""Words for parts of a split that may also be labels (train and bus, valid and invalid)."""

UNLABELLED = ("unlabeled", "unlabelled", "unsup", "unsupervised")
"""Folders of images without labels."""


def check_labels(images: Path, names: Collection[str]) -> None:
    """Checks that folders can be labels by their names.

    Raises:
        ConfigError: they are the folders of a data set (images, masks), or numbered folds.
    """
    if len(names) > 1 and all(without_part(name) in (*NOT_LABELS, "") for name in names):
        raise ConfigError(
            f"{images}: the folders {', '.join(sorted(names))} are not labels; give each label its own folder, or "
            "set data.images to the folder of images and data.labels to a label file",
            key="images",
        )
    if len(names) > 1 and all(has_split_word(name) for name in names):
        raise ConfigError(
            f"{images}: the folders {', '.join(sorted(names))} are named like folds of a split, not like labels; put "
            "all images of a label into one folder, or set data.labels to a label file with a column for "
            "data.split.column or data.split.group",
            key="images",
        )


def parts_without_labels(images: Path, parts: Iterable[str]) -> ConfigError:
    """The error for folders of a split that hold no folders of labels."""
    return ConfigError(
        f"{images}: {', '.join(parts)} are parts of a split without folders of labels; put a folder for each label "
        "into each of them, or set data.labels to a label file",
        key="images",
    )


def check_part_names(images: Path, tops: list[str], named: dict[str, int], notes: list[str]) -> None:
    """Checks label folders for names of parts of a split; those that may also be labels get a note.

    Args:
        images: the image folder.
        tops: its folders.
        named: those named like a part → part.
        notes: notes on what was guessed are appended.

    Raises:
        ConfigError: a folder is named like a part, or like unlabelled images, and others next to it are not.
    """
    for name in named:
        inside = Folder(images / name)
        other = next((top for top in tops if top not in named), None)
        if other is None:
            continue
        if len(inside.folders) > 1 and not inside.files:
            raise ConfigError(
                f"{images}: {name} holds only folders, like a part of a split, but {other} next to it is not a part; "
                "move or rename one of them",
                key="images",
            )
        if name.casefold() not in PARTS_OR_LABELS:
            raise ConfigError(
                f"{images}: {name} is named like a part of a split, but {other} next to it like a label; move {name} "
                "elsewhere, or put the folders of labels into one folder per part",
                key="images",
            )
        notes.append(f"the folder {name} is read as a label")
    unlabelled = next((name for name in tops if name.casefold() in UNLABELLED), None)
    if unlabelled is not None and len(tops) > 1:
        raise ConfigError(
            f"{images}: the folder {unlabelled} is probably not a label; move it elsewhere, or rename it", key="images"
        )
    for name in tops:
        if name.casefold() in NOT_LABELS and len(tops) > 1:
            notes.append(f"the folder {name} is read as a label; move it elsewhere if it is none")
    within = {name: part_within(name) for name in tops}
    if len(tops) > 1 and None not in within.values():
        if len(set(within.values())) > 1:
            raise parts_without_labels(images, tops)
        notes.append(f"all folders are named after one part of a split; they are read as labels ({tops[0]}, …)")


def parts_within_labels(images: Path, tops: list[str], notes: list[str]) -> list[tuple[str, str, int | None]]:
    """(folder, label, part) of all folders if each label holds only folders for train, validation or test; else []."""
    found: list[tuple[str, str, int | None]] = []
    for label in tops:
        inside = Folder(images / label)
        parts = [(name, part_of(name)) for name in inside.folders]
        if inside.files or not parts or any(part is None for _, part in parts):
            return []
        found += [(f"{label}/{name}", label, part) for name, part in parts]
    if len({part for _, _, part in found}) < 2:
        return []
    notes.append(f"the folders within the labels are the split ({found[0][0]}, …)")
    return found
