"""Recognises files and columns that define a split, so that they are never read as labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.label_files import looks_like_image
from thaw.trainables.data.parts import PART_WORDS, has_split_word, part_of, part_within

IMAGE_SETS = "ImageSets"
"""Folder in Pascal VOC with lists of training, validation and test images; its `Main` also has a list per label."""

CODES = frozenset("012")
"""Codes of train, validation and test in CelebA's ``list_eval_partition.txt``."""


def refuse_split(place: Path, column: str, cells: Sequence[str], files: Sequence[str], headed: bool) -> None:
    """Refuses a column that would be the only one of labels, but defines a split.

    Args:
        place: the label file.
        column: heading of the column.
        cells: cells of the column.
        files: file names in the same rows.
        headed: whether the file has headings; then numbers are labels.

    Raises:
        ConfigError: the cells name parts of a split, are numbers in a file that is named like a split, or come from
            VOC's `ImageSets`.
    """
    values = {cell.strip() for cell in set(cells)}
    if values and all(part_of(cell) is not None for cell in values):
        raise ConfigError(
            f"{place}: column {column!r} holds {', '.join(sorted(values))}, which is a split, not labels; give the "
            f"label file, with the split ({', '.join(PART_WORDS)}) in a column for data.split.column (to read these "
            f"words as labels, set data.columns.labels: {column})",
            key="labels",
        )
    if not headed and values <= CODES and has_split_word(place.stem):
        raise ConfigError(
            f"{place}: is named like a split and holds {', '.join(sorted(values))}, CelebA's codes of train, "
            "validation and test; give the label file (in CelebA list_attr_celeba.txt), with the split in a column for "
            "data.split.column",
            key="labels",
        )
    in_image_sets = IMAGE_SETS.lower() in (folder.lower() for folder in place.absolute().parent.parts)
    without_extensions = not any(looks_like_image(file) for file in files)
    of_part = "-1" in values and without_extensions and part_within(place.stem) is not None
    if not headed and values <= {"1", "-1", "0"} and (in_image_sets or of_part):
        raise ConfigError(
            f"{place}: lists the images of one label and one part, as in Pascal VOC's {IMAGE_SETS}; set data.labels to "
            "the folder Annotations",
            key="labels",
        )


def image_sets(annotations: Path) -> dict[str, str]:
    """Image name without extension → ``train``, ``validation`` or ``test``, from VOC's lists next to its annotations.

    `trainval.txt` is left out, as it only joins two others; images in several lists are left out, too.
    """
    for folder in (annotations / IMAGE_SETS / "Main", annotations.parent / IMAGE_SETS / "Main"):
        if folder.is_dir():
            break
    else:
        return {}
    found: dict[str, set[str]] = {}
    for part in PART_WORDS:
        file = folder / f"{'val' if part == 'validation' else part}.txt"
        if file.is_file():
            for name in file.read_text(encoding="utf-8", errors="replace").split():
                found.setdefault(name, set()).add(part)
    return {name: parts.pop() for name, parts in found.items() if len(parts) == 1}


def split_beside(labels: Path) -> str | None:
    """A note if a file next to the labels is named like a split; else None."""
    try:
        beside = sorted(file for file in labels.parent.iterdir() if file != labels and file.is_file())
    except OSError:
        return None
    own = part_of(labels.stem) is not None
    for file in beside:
        listing = file.suffix.lower() == ".txt" and part_of(file.stem) is not None and not own
        if listing or (file.suffix.lower() in (".txt", ".csv", ".tsv") and has_split_word(file.stem)):
            return (
                f"{file.name} next to the labels looks like a split and is not used; add the split to the label file "
                "as a column for data.split.column"
            )
    return None
