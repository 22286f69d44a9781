"""Data sets that a source provides: one registered from Python, or one saved by Hugging Face's ``datasets``."""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pandas as pd

from thaw.spaces.errors import ConfigError, own_code
from thaw.spaces.words import counted
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.label_matrix import check_order, label_matrix, sorted_labels
from thaw.trainables.data.reading import Reading
from thaw.trainables.data.saved_dataset import SavedDataset
from thaw.trainables.data.source import DataSource, data_source


def read_source(name: str) -> Dataset:
    """The data set that was registered as `name`, see :func:`dataset_of`.

    Raises:
        ConfigError: no source has this name, it is inconsistent, or it has fewer than two labels.
    """
    try:
        return dataset_of(name, data_source(name))
    except ConfigError as error:
        raise error if error.key else error.within("source") from None


def read_saved(folder: Path, reading: Reading) -> Dataset:
    """The data set that Hugging Face's package ``datasets`` has saved in a folder.

    Raises:
        ConfigError: the package is not installed, the folder cannot be read, or there are fewer than two labels.
    """
    source = SavedDataset(folder, reading.image, reading.labels)
    return replace(dataset_of(str(folder), source), parts=source.parts)


def dataset_of(name: str, source: DataSource) -> Dataset:
    """The data set of a source. Labels are sorted like those of label files.

    Raises:
        ConfigError: the source is inconsistent, or has fewer than two labels.
    """
    file = getattr(sys.modules.get(type(source).__module__), "__file__", None) or type(source).__module__
    with own_code(f"data source {name}", file):
        written, count, digest = list(source.labels), len(source), source.digest
        values = {str(column): list(cells) for column, cells in dict(getattr(source, "columns", {})).items()}
    if not isinstance(digest, str):
        raise ConfigError(f"{name}: digest must be text, got {digest!r:.60}; correct the source")
    for i, one in enumerate(written):
        if not isinstance(one, str) and not (
            isinstance(one, Collection) and all(isinstance(each, str) for each in one)
        ):
            rule = f"{name}: labels must have a name or a collection of names for each image"
            raise ConfigError(f"{rule}, got {one!r} for image {i}; correct the source")
    # A string is one label.
    labels = [frozenset([one] if isinstance(one, str) else one) for one in written]
    for what, entries in {"labels": written, **values}.items():
        if not count == len(entries) > 0:
            raise ConfigError(
                f"{name}: {what} must have one entry per image, got {len(entries)} for {counted(count, 'image')}; "
                "correct the source"
            )
    # As in label files, a cell without a value is an empty one.
    columns = pd.DataFrame(values, index=range(count), dtype=str).fillna("")
    order = sorted_labels({label for one in labels for label in one})
    if len(order) < 2:
        raise ConfigError(f"{name}: needs two labels or more, got {', '.join(order) or 'none'}; add labels")
    check_order(order, len(labels), Path(name))
    files = tuple(map(str, range(len(labels))))
    return Dataset(Path(name), files, label_matrix(labels, order), tuple(order), tuple(order), columns, source=source)
