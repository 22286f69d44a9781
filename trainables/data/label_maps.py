"""Maps: file name → labels, label → file names, and columns of a table as pandas writes them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.parts import part_of
from thaw.trainables.data.records import cell_of, record_columns

FILE, LABELS = "file_name", "labels"
"""Columns of the table that a map becomes."""

SHAPES = (
    'must map each file name to its labels, such as {"a.jpg": ["cat", "dog"], "b.jpg": []}, or each label to its file '
    'names, such as {"cat": ["a.jpg"]}'
)


OTHER_FILES = {
    "names": "is the settings file of YOLO; set data.labels to the folder of its text files",
    "shapes": "is an annotation of LabelMe; set data.labels to the folder that holds all of them",
}
"""Key → what a map with it is, and the fix."""


def map_columns(
    content: Mapping[str, Any], path: Path, key: str, is_file: Callable[[str], bool], headings: frozenset[str]
) -> dict[str, Sequence[str]]:
    """The columns of a table with the same content.

    Args:
        key: key of the search file, for errors.
        is_file: returns whether a text names an image.
        headings: usual headings of columns.

    Raises:
        ConfigError: the map is neither by file, nor by label, nor by column.
    """
    if not content:
        raise ConfigError(f"{path}: holds no rows; {SHAPES}", key=key)
    images = [is_file(name) for name in content]
    if all(images):
        return _by_file(content, path, key)
    if any(images):
        other = next(name for name, image in zip(content, images, strict=True) if not image)
        raise ConfigError(f"{path}: the key {other!r} names no image, as the others do; correct or remove it", key=key)
    values = list(content.values())
    lists = all(isinstance(value, list) for value in values)
    if lists and all(isinstance(file, str) and is_file(file) for value in values for file in value):
        return _by_label(content, path, key)
    if any(name.strip().lower() in headings for name in content):
        return _by_column(content, path, key)
    for name, fix in OTHER_FILES.items():
        if name in content:
            raise ConfigError(f"{path}: {fix}", key=key)
    raise ConfigError(f"{path}: {SHAPES}; got the key {next(iter(content))!r}, which names no image", key=key)


def rows_within(content: Mapping[str, Any], headings: frozenset[str]) -> str | None:
    """The only key with a list of objects, all with a usual heading of labels: ``{"version": 1, "images": [{…}]}``."""
    lists = [key for key, value in content.items() if isinstance(value, list) and value]
    if len(lists) != 1 or not all(isinstance(row, dict) for row in content[lists[0]]):
        return None
    return lists[0] if all(any(key.lower() in headings for key in row) for row in content[lists[0]]) else None


def _by_file(content: Mapping[str, Any], path: Path, key: str) -> dict[str, Sequence[str]]:
    if all(isinstance(value, dict) for value in content.values()):
        return record_columns([{**value, FILE: file} for file, value in content.items()])
    for file, value in content.items():
        if value is None or isinstance(value, dict):
            what = "null" if value is None else "an object"
            raise ConfigError(f"{path}: {file!r} has {what} for its labels; give a label or a list of labels", key=key)
    return {FILE: list(content), LABELS: [cell_of(value) for value in content.values()]}


def _by_label(content: Mapping[str, Any], path: Path, key: str) -> dict[str, Sequence[str]]:
    if all(part_of(name) is not None for name in content):
        raise ConfigError(
            f"{path}: lists the files of {', '.join(content)}, which is a split, not labels; give the labels", key=key
        )
    labels: dict[str, list[str]] = {}
    for label, files in content.items():
        for file in dict.fromkeys(files):
            labels.setdefault(file, []).append(label)
    return {FILE: list(labels), LABELS: [cell_of(one) for one in labels.values()]}


def _by_column(content: Mapping[str, Any], path: Path, key: str) -> dict[str, Sequence[str]]:
    """pandas' `to_json()` gives an object of rows for each column, and `to_dict("list")` a list."""
    first, *others = content.values()
    keyed = isinstance(first, dict) and all(isinstance(one, dict) and one.keys() == first.keys() for one in others)
    listed = isinstance(first, list) and all(isinstance(one, list) and len(one) == len(first) for one in others)
    if not first or not (keyed or listed):
        raise ConfigError(f"{path}: {SHAPES}; its keys are headings, but not all columns have the same rows", key=key)
    columns = {name: list(column.values()) if keyed else column for name, column in content.items()}
    return {name: [cell_of(value) for value in column] for name, column in columns.items()}


def unique_keys(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """A dict of these pairs, for ``object_pairs_hook``; JSON readers would keep the last of equal keys in silence.

    Raises:
        ValueError: a key appears twice.
    """
    repeated = [key for key, count in Counter(key for key, _ in pairs).items() if count > 1]
    if repeated:
        raise ValueError(f"the key {repeated[0]!r} appears twice; give it one entry")
    return dict(pairs)
