"""Which folders are labels by their names, which are a split, and which are neither."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.folder import Folder
from thaw.trainables.data.parts import called_split, part_of, part_within, without_part

NO_LABELS = (
    *("images", "image", "imgs", "img", "photos", "pictures", "jpegimages", "labels", "annotations", "imagesets"),
    *("masks", "mask", "segmentationclass", "segmentationobject", "groundtruth", "ground_truth", "gt"),
)
"""Folders of a data set that are no labels if there are no others, in upper or lower case."""

LABEL_WORDS = ("train", "training", "valid", "dev", "development", "devel", "eval")
"""Words for parts that may as well be labels (a train beside a bus, valid beside invalid)."""


UNLABELLED = ("unlabeled", "unlabelled", "unsup", "unsupervised")
"""Folders of images without labels."""


def check_labels(images: Path, names: Collection[str]) -> None:
    """Raises a ConfigError where folders are those of a data set (images, masks) or numbered folds, and no labels."""
    if len(names) > 1 and all(without_part(name) in (*NO_LABELS, "") for name in names):
        raise ConfigError(
            f"{images}: the folders {', '.join(sorted(names))} are no labels; give each label a folder of its own, or "
            "name the folder of images by data.images and a label file by data.labels",
            key="images",
        )
    if len(names) > 1 and all(called_split(name) for name in names):
        raise ConfigError(
            f"{images}: the folders {', '.join(sorted(names))} are called like folds of a split and no labels; put the "
            "images of a label into one folder, or name a label file by data.labels, with a column for "
            "data.split.column or data.split.group",
            key="images",
        )


def no_labels_within(images: Path, parts: Iterable[str]) -> ConfigError:
    return ConfigError(
        f"{images}: {', '.join(parts)} are parts of a split and hold no folder for each label; put one for "
        "each label into each of them, or name a label file by data.labels",
        key="images",
    )


def check_no_part(images: Path, tops: list[str], named: dict[str, int], notes: list[str]) -> None:
    """A folder that is called like a part is hardly a label beside others.

    Raises:
        ConfigError: naming it.
    """
    for name in named:
        inside = Folder(images / name)
        other = next((top for top in tops if top not in named), None)
        if other is None:
            continue
        if len(inside.folders) > 1 and not inside.files:
            raise ConfigError(
                f"{images}: {name} holds only folders, like one part of a split, but {other} beside it is not a part; "
                "move or rename one of them",
                key="images",
            )
        if name.casefold() not in LABEL_WORDS:
            raise ConfigError(
                f"{images}: {name} is called like a part of a split, and {other} beside it like a label; move it "
                "elsewhere, or put the labels into a folder for each part",
                key="images",
            )
        notes.append(f"the folder {name} is read as a label")
    bare = next((name for name in tops if name.casefold() in UNLABELLED), None)
    if bare is not None and len(tops) > 1:
        raise ConfigError(
            f"{images}: the folder {bare} is hardly a label; move it elsewhere, or rename it", key="images"
        )
    within = {name: part_within(name) for name in tops}
    if len(tops) > 1 and None not in within.values():
        if len(set(within.values())) > 1:
            raise no_labels_within(images, tops)
        notes.append(f"the names of all folders speak of one part of a split; they are read as labels ({tops[0]}, …)")


def parts_within_labels(images: Path, tops: list[str], notes: list[str]) -> list[tuple[str, str, int | None]]:
    """Folders (folder, label, part) where each label holds folders for train, validation or test and nothing else."""
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
