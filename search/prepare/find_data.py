"""Inspects a new user's folder: where the images are, what labels them, and what defines their split."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.splits import keeps_apart
from thaw.trainables.data.visible import is_visible

LABEL_SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".manifest", ".parquet", ".txt")
LABEL_FOLDERS = ("annotations", "annotation", "ann", "labels", "label", "xml", "xmls")
"""Folders next to the images that may hold label files or annotations; case is ignored."""

IMAGE_FOLDERS = ("images", "imgs", "img", "photos", "pictures", "jpegimages", "data")
"""Folders that hold all images and are not labels."""

CLASS_FILES = re.compile(r"(class(es)?|class_?names|names|categories|label_?names)\.(json|csv|tsv|txt)", re.IGNORECASE)

GROUP_COLUMNS = re.compile(
    r"(patient|participant|subject|person|individual|lesion|specimen|case|study|slide|group|site|camera|location|scene|"
    r"video|sequence|burst)([ _-]?(id|no|number))?",
    re.IGNORECASE,
)
"""Columns whose equal values mark images of one thing, which must not be in both training and validation."""

LEAST_FOUND = 0.5
"""The share of a label file's images that must exist for it to belong to the folder."""

MOST_FILES = 20
"""Label files that are tried."""


@dataclass(frozen=True)
class FoundData:
    """A data set in a folder.

    Args:
        images, labels, classes: as in the search file; None if there is no such file.
        dataset: what they hold.
        split_column, group: columns of the label file, see :class:`~thaw.search.settings.schema.SplitConfig`.
        others: other label files that also fit.
    """

    images: Path
    labels: Path | None
    classes: Path | None
    dataset: Dataset
    split_column: str | None
    group: str | None
    others: tuple[Path, ...]


def find_data(place: Path) -> FoundData:
    """The data set in or around a folder: the label file with the most images there, else a folder for each label.

    Raises:
        ConfigError: there is none; lists what was tried.
    """
    if not place.is_dir():
        raise ConfigError(f"{place} is not a folder; give the folder of your photos", "PHOTOS")
    fitting: list[tuple[int, Path, Path, Path | None, Dataset]] = []
    unfit: dict[Path, str] = {}
    for labels in _label_files(place):
        found = _best_root(place, labels, unfit)
        if found is not None:
            fitting.append(found)
    if fitting:
        _, images, file, classes, dataset = max(fitting, key=lambda found: found[0])
        column = _split_column(dataset)
        group = None if column else _group_column(dataset)
        others = tuple(other[2] for other in fitting if other[2] != file)
        return FoundData(images, file, classes, dataset, column, group, others)
    faults = []
    for images in [*_named(place, IMAGE_FOLDERS), place]:
        try:
            return FoundData(images, None, None, read_dataset(images), None, None, ())
        except ConfigError as error:
            faults.append(str(error))
    tried = "; ".join([*islice(unfit.values(), 2), faults[0]])
    raise ConfigError(
        f"found no labels in {place}: give each label its own folder in it, or put a table of file names and "
        f"labels next to the images ({tried})",
        "PHOTOS",
    )


def _named(folder: Path, names: tuple[str, ...]) -> list[Path]:
    found = [entry for entry in sorted(folder.iterdir()) if entry.name.lower() in names and entry.is_dir()]
    return sorted(found, key=lambda entry: names.index(entry.name.lower()))


def _label_files(place: Path) -> list[Path]:
    """Possible label files, nearest first."""
    found: dict[Path, None] = {}
    for folder in [place, *_named(place, LABEL_FOLDERS), place.parent, *_named(place.parent, LABEL_FOLDERS)]:
        pattern = "**/*.[xX][mM][lL]" if folder.name.lower() in LABEL_FOLDERS else "*.[xX][mM][lL]"
        if folder != place.parent and any(folder.glob(pattern)):
            found[folder] = None
        files = list(_files(folder))
        # YOLO and LabelMe have a file for each image.
        if folder.name.lower() in LABEL_FOLDERS and sum(file.suffix in (".txt", ".json") for file in files) > 1:
            found[folder] = None
            files = files if len(files) <= MOST_FILES else []
        found |= dict.fromkeys(files)
    images = [file for folder in _named(place, IMAGE_FOLDERS) for file in _files(folder)]
    return list(dict.fromkeys([*found, *images]))[:MOST_FILES]


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.iterdir()):
        usual = file.suffix.lower() in LABEL_SUFFIXES and is_visible(file.name)
        if usual and file.is_file() and not CLASS_FILES.fullmatch(file.name):
            yield file


def _best_root(
    place: Path, labels: Path, unfit: dict[Path, str]
) -> tuple[int, Path, Path, Path | None, Dataset] | None:
    """(images there, image folder, label file, class file, data set) for the folder that holds most of its images.

    If the label file cannot be read, `unfit` gets the reason.
    """
    near = labels if labels.is_dir() else labels.parent
    roots = dict.fromkeys([*_named(near, IMAGE_FOLDERS), *_named(place, IMAGE_FOLDERS), place, near])
    neighbours = [file for file in sorted(near.iterdir()) if CLASS_FILES.fullmatch(file.name)]
    best = None
    for root in roots:
        for classes in [*neighbours, None]:
            try:
                dataset = read_dataset(root, labels, classes=classes)
            except ConfigError as error:
                unfit.setdefault(labels, str(error))
                continue
            absent = set(dataset.absent())
            there = [file for file in dataset.files if file not in absent]
            enough = len(there) >= max(2, LEAST_FOUND * len(dataset.files))
            # A table next to the folder may be of other images.
            concerned = any((root / file).is_relative_to(place) for file in there)
            if enough and concerned and (best is None or len(there) > best[0]):
                best = (len(there), root, labels, classes, dataset)
            break
    return best


def _split_column(dataset: Dataset) -> str | None:
    """A column that assigns images to training and validation."""
    for name in map(str, dataset.columns.columns):
        with contextlib.suppress(ConfigError):
            if keeps_apart(dataset, name):
                return name
    return None


def _group_column(dataset: Dataset) -> str | None:
    """A column whose values identify what several images show, with at least ten different things."""
    for name in map(str, dataset.columns.columns):
        different = dataset.columns[name].nunique()
        if GROUP_COLUMNS.fullmatch(name) and 10 <= different < len(dataset.files):
            return name
    return None
