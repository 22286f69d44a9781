"""Files and columns that say which image trains and which validates: a split, and never labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.label_files import looks_like_image
from thaw.trainables.data.parts import PART_WORDS, called_split, part_of, part_within

IMAGE_SETS = "ImageSets"
"""Folder of Pascal VOC with the lists of images that train, validate and test; in `Main`, for each label too."""

CODES = frozenset("012")
"""How CelebA says train, validation and test in ``list_eval_partition.txt``."""


def check_no_split(place: Path, column: str, cells: Sequence[str], files: Sequence[str], headed: bool) -> None:
    """Refuses a column that is taken for the only one of labels, and says a split.

    Args:
        place: the label file.
        column: its heading.
        cells: of the column.
        files: the names beside them.
        headed: whether the file gives headings; where these speak of labels, numbers are labels.

    Raises:
        ConfigError: the cells name parts of a split, are numbers in a file whose name speaks of one, or come from
            VOC's `ImageSets`.
    """
    different = {cell.strip() for cell in set(cells)}
    if different and all(part_of(cell) is not None for cell in different):
        words = ", ".join(sorted(different))
        raise ConfigError(
            f"{place}: column {column!r} says {words}, which is a split and no label; name the label file, and give a "
            f"column that says {', '.join(PART_WORDS)} by data.split.column (data.columns.labels: {column} takes the "
            "words for labels all the same)",
            key="labels",
        )
    if not headed and different <= CODES and called_split(place.stem):
        raise ConfigError(
            f"{place}: is called like a split and says {', '.join(sorted(different))}, as CelebA does for train, "
            "validation and test; name the label file (list_attr_celeba.txt there), put the split into a column of it "
            "and set data.split.column",
            key="labels",
        )
    listed = IMAGE_SETS.lower() in (folder.lower() for folder in place.absolute().parent.parts)
    bare = not any(looks_like_image(file) for file in files)
    of_part = "-1" in different and bare and part_within(place.stem) is not None
    if not headed and different <= {"1", "-1", "0"} and (listed or of_part):
        raise ConfigError(
            f"{place}: lists the images of one label and one part, as Pascal VOC does in {IMAGE_SETS}; name the folder "
            "of Annotations by data.labels",
            key="labels",
        )


def image_sets(annotations: Path) -> dict[str, str]:
    """Name without ending → ``train``, ``validation`` or ``test``, by VOC's lists beside its annotations.

    `trainval.txt` is left out, as it says nothing of its own; so are images in several lists.
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
    """A sentence on a file beside the labels whose name speaks of a split; None where there is none."""
    try:
        beside = sorted(file for file in labels.parent.iterdir() if file != labels and file.is_file())
    except OSError:
        return None
    own = part_of(labels.stem) is not None
    for file in beside:
        listing = file.suffix.lower() == ".txt" and part_of(file.stem) is not None and not own
        if listing or (file.suffix.lower() in (".txt", ".csv", ".tsv") and called_split(file.stem)):
            return (
                f"{file.name} beside the labels looks like a split and is not used; a column of the label file can say "
                "it (data.split.column)"
            )
    return None
