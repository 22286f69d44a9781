"""Labels in annotations of objects: COCO and Pascal VOC."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.label_files import Rows, bytes_of, json_of
from thaw.trainables.data.reading import Source
from thaw.trainables.data.split_lists import IMAGE_SETS, image_sets

SET_COLUMN = "imageset"
"""Column that says train, validation or test, where Pascal VOC's lists say so for every annotation."""


def read_coco(source: Source) -> Rows:
    """COCO object annotations: an image carries the categories of its annotations; one without any has no label.

    Categories without annotations stay labels, but for those that are the supercategory of others, or have the name of
    one with annotations. An image that is listed twice under one id and name counts once.
    """
    labels = source.labels
    assert labels is not None
    notes: list[str] = []
    content = json_of(labels, "labels", source.reading.encoding, notes)

    def wrong(message: str) -> ConfigError:
        instead = 'or a list of objects such as {"file_name": "a.jpg", "label": "cat"}'
        return ConfigError(f"{labels}: {message}; needs COCO's object annotations, {instead}", key="labels")

    def value(entry: Any, key: str, where: str) -> Any:
        if not isinstance(entry, dict) or key not in entry:
            raise wrong(f"{where} has no {key!r}")
        return entry[key]

    def entries(section: str, *keys: str) -> Iterator[list[Any]]:
        listed = value(content, section, "the file")
        if not isinstance(listed, list):
            raise wrong(f"{section!r} must be a list, got {type(listed).__name__}")
        for number, entry in enumerate(listed):
            values = [value(entry, key, f"{section}[{number}]") for key in keys]
            for key, one in zip(keys, values, strict=True):
                if not isinstance(one, int | str):
                    raise wrong(f"{section}[{number}].{key} must be a whole number or text, got {type(one).__name__}")
            yield values

    def unique(values: Iterable[Any], what: str) -> None:
        twice = next((value for value, times in Counter(values).items() if times > 1), None)
        if twice is not None:
            raise ConfigError(f"{labels}: two {what} {twice!r}; give each its own", key="labels")

    categories = [(str(id), str(name)) for id, name in entries("categories", "id", "name")]
    unique((id for id, _ in categories), "categories have the id")
    listed = list(dict.fromkeys((id, str(file)) for id, file in entries("images", "id", "file_name")))
    unique((id for id, _ in listed), "images have the id")
    names, files = dict(categories), dict(listed)
    found: dict[Any, set[str]] = {id: set() for id in files}
    for image, category in entries("annotations", "image_id", "category_id"):
        for id, known, section in ((image, found, "images"), (str(category), names, "categories")):
            if id not in known:
                message = f"an annotation refers to {id!r}, which is not in {section!r}; add it or drop the annotation"
                raise ConfigError(f"{labels}: {message}", key="labels")
        found[image].add(str(category))
    used = set().union(*found.values())
    notes += _drop_empty(names, used, [entry.get("supercategory") for entry in content["categories"]])
    unique(names.values(), "categories are named")
    sets = [frozenset(ids) for ids in found.values()]
    return Rows(list(files.values()), sets, classes=names, notes=tuple(notes))


def _drop_empty(names: dict[str, str], used: set[str], parents: Iterable[Any]) -> list[str]:
    """Takes categories without annotations out of `names` that are no labels of their own; returns notes."""
    above, notes = {str(parent) for parent in parents if parent}, []
    same: dict[str, list[str]] = defaultdict(list)
    for id, name in names.items():
        same[name].append(id)
    for name, ids in same.items():
        empty = [id for id in ids if id not in used]
        doubled = empty if len(empty) < len(ids) else empty[1:]
        if len(ids) > 1 and doubled:
            notes.append(f"category {name!r} is listed {len(ids)} times; those without annotations are left out")
        elif len(ids) == 1 and empty and name in above:
            doubled = empty
            notes.append(f"category {name!r} is left out: it has no annotations and is the parent of others")
        for id in doubled:
            del names[id]
    return notes


def read_voc(source: Source) -> Rows:
    """A folder of Pascal VOC annotations, its own folders included: one XML file an image, with ``filename`` and
    ``object/name``.

    A file name counts from the folder of its annotation, so that equal names in different folders stay apart. Lists in
    `ImageSets/Main` become a column for ``data.split.column``.
    """
    labels = source.labels
    assert labels is not None
    if not labels.is_dir():
        raise ConfigError(f"{labels}: format voc needs a folder of XML files, got a file", key="labels")
    files, sets, ignored = [], [], []
    for path in _visible(labels):
        folder = path.parent.relative_to(labels).as_posix()
        if path.suffix.lower() != ".xml":
            ignored.append((path.relative_to(labels).as_posix(), "no annotation (.xml)"))
            continue
        raw = bytes_of(path, "labels")
        # Annotations need no document type, and one can make megabytes of a few lines.
        if b"<!DOCTYPE" in raw.replace(b"\0", b""):
            raise ConfigError(f"{path}: must not declare a document type; remove <!DOCTYPE …>", key="labels")
        try:
            root = ElementTree.fromstring(raw)
        except (ElementTree.ParseError, LookupError, ValueError) as error:
            raise ConfigError(f"{path}: is not XML ({error}); repair or remove it", key="labels") from error
        names = [thing.findtext("name", "").strip() for thing in root.iter("object")]
        file = root.findtext("filename", "").strip()
        for key, missing in (("filename", not file), ("object/name", "" in names)):
            if missing:
                raise ConfigError(f"{path}: has no {key!r}; needs Pascal VOC annotations", key="labels")
        files.append(file if folder == "." or source.files.exact(file) else f"{folder}/{file}")
        sets.append(frozenset(names))
    if not files:
        others = f", but {len(ignored)} others (first: {ignored[0][0]})" if ignored else ""
        raise ConfigError(
            f"{labels}: holds no annotation (.xml){others}; a folder of labels needs Pascal VOC files, one an image",
            key="labels",
        )
    parts, notes = image_sets(labels), []
    columns = pd.DataFrame(index=range(len(files)))
    if parts:
        stems = [Path(file).stem for file in files]
        unknown = sum(stem not in parts for stem in stems)
        use = f"but says nothing of {unknown} images" if unknown else f"data.split.column: {SET_COLUMN} uses it"
        notes.append(f"{IMAGE_SETS}/Main says which images train, validate and test; {use}")
        if not unknown:
            columns[SET_COLUMN] = [parts[stem] for stem in stems]
    return Rows(files, sets, columns=columns, notes=tuple(notes), ignored=tuple(ignored))


def _visible(folder: Path) -> list[Path]:
    """The visible files below a folder, in the order of their paths; unreadable folders are an error."""

    def fail(error: OSError) -> None:
        raise ConfigError(f"{error.filename}: cannot be read ({error.strerror}); check the path", key="labels")

    found = []
    for place, folders, files in os.walk(folder, onerror=fail):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(place, file) for file in files if not file.startswith(".")]
    return sorted(found, key=lambda path: path.relative_to(folder).parts)
