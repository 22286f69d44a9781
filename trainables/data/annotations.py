"""Labels from object annotations: COCO and Pascal VOC."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from thaw.spaces.errors import ConfigError
from thaw.spaces.words import counted
from thaw.trainables.data.label_files import Rows, json_of, visible_files, xml_of
from thaw.trainables.data.reading import Source
from thaw.trainables.data.split_lists import IMAGE_SETS, image_sets

SET_COLUMN = "imageset"
"""Column with train, validation or test, if Pascal VOC's lists give it for every annotation."""


def read_coco(source: Source) -> Rows:
    """COCO object annotations: an image has the categories of its annotations; an image without any has no label.

    Categories without annotations remain labels, unless they are the supercategory of others or share the name of a
    category with annotations. An image listed twice with the same id and name counts once.
    """
    labels = source.labels
    assert labels is not None
    notes: list[str] = []
    content = json_of(labels, "labels", source.reading.encoding, notes)

    def wrong(message: str) -> ConfigError:
        instead = 'or a list of objects such as {"file_name": "a.jpg", "label": "cat"}'
        return ConfigError(f"{labels}: {message}; must be COCO object annotations, {instead}", key="labels")

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
                    raise wrong(f"{section}[{number}].{key} must be an integer or a string, got {type(one).__name__}")
            yield values

    def unique(values: Iterable[Any], what: str) -> None:
        repeated = next((value for value, count in Counter(values).items() if count > 1), None)
        if repeated is not None:
            raise ConfigError(f"{labels}: two {what} {repeated!r}; give each its own", key="labels")

    images = content.get("images") if isinstance(content, dict) else None
    first = images[0] if isinstance(images, list) and images else {}
    if isinstance(first, dict) and "coco_url" in first and "file_name" not in first:
        raise wrong(
            "images have 'coco_url' and no 'file_name', as in LVIS; add 'file_name', and mind that LVIS does not "
            "annotate every category in every image"
        )
    categories = [(str(id), str(name)) for id, name in entries("categories", "id", "name")]
    unique((id for id, _ in categories), "categories have the id")
    listed = list(dict.fromkeys((id, str(file)) for id, file in entries("images", "id", "file_name")))
    unique((id for id, _ in listed), "images have the id")
    names, files = dict(categories), dict(listed)
    found: dict[Any, set[str]] = {id: set() for id in files}
    for image, category in entries("annotations", "image_id", "category_id"):
        for id, known, section in ((image, found, "images"), (str(category), names, "categories")):
            if id not in known:
                message = (
                    f"an annotation refers to {id!r}, which is not in {section!r}; add it or remove the annotation"
                )
                raise ConfigError(f"{labels}: {message}", key="labels")
        found[image].add(str(category))
    used = set().union(*found.values())
    notes += _drop_empty(names, used, [entry.get("supercategory") for entry in content["categories"]])
    unique(names.values(), "categories are named")
    sets = [frozenset(ids) for ids in found.values()]
    return Rows(list(files.values()), sets, classes=names, notes=tuple(notes))


def _drop_empty(names: dict[str, str], used: set[str], parents: Iterable[Any]) -> list[str]:
    """Removes from `names` categories without annotations that repeat or contain others; returns notes."""
    supercategories, notes = {str(parent) for parent in parents if parent}, []
    ids_of: dict[str, list[str]] = defaultdict(list)
    for id, name in names.items():
        ids_of[name].append(id)
    for name, ids in ids_of.items():
        empty = [id for id in ids if id not in used]
        dropped = empty if len(empty) < len(ids) else empty[1:]
        if len(ids) > 1 and dropped:
            notes.append(f"category {name!r} is listed {len(ids)} times; those without annotations are left out")
        elif len(ids) == 1 and empty and name in supercategories:
            dropped = empty
            notes.append(f"category {name!r} is left out: it has no annotations and is the supercategory of others")
        for id in dropped:
            del names[id]
    return notes


def read_voc(source: Source) -> Rows:
    """A folder of Pascal VOC annotations, subfolders included: one XML file per image, with ``filename`` and
    ``object/name``.

    A file name is relative to the folder of its annotation, so equal names in different folders are different images.
    Lists in `ImageSets/Main` become a column for ``data.split.column``.
    """
    labels = source.labels
    assert labels is not None
    if not labels.is_dir():
        message = "format voc needs a folder of XML files, got a file; give the folder of annotations"
        raise ConfigError(f"{labels}: {message}", key="labels")
    files, sets, ignored = [], [], []
    for path in visible_files(labels):
        folder = path.parent.relative_to(labels).as_posix()
        if path.suffix.lower() != ".xml":
            ignored.append((path.relative_to(labels).as_posix(), "not an annotation (.xml)"))
            continue
        root = xml_of(path, "labels")
        if root.tag == "annotations" and root.find("image") is not None:
            raise ConfigError(f"{path}: is an export of CVAT; set data.labels to this file", key="labels")
        names = [thing.findtext("name", "").strip() for thing in root.iter("object")]
        file = root.findtext("filename", "").strip()
        for key, missing in (("filename", not file), ("object/name", "" in names)):
            if missing:
                raise ConfigError(f"{path}: has no {key!r}; must be a Pascal VOC annotation", key="labels")
        files.append(file if folder == "." or source.files.exact(file) else f"{folder}/{file}")
        sets.append(frozenset(names))
    if not files:
        others = f", but {len(ignored)} other files (first: {ignored[0][0]})" if ignored else ""
        raise ConfigError(
            f"{labels}: holds no annotation (.xml){others}; a folder of labels must hold one file per image, all of "
            "Pascal VOC (.xml), of YOLO (.txt) or of LabelMe (.json)",
            key="labels",
        )
    parts, notes = image_sets(labels), []
    columns = pd.DataFrame(index=range(len(files)))
    if parts:
        stems = [Path(file).stem for file in files]
        unknown = sum(stem not in parts for stem in stems)
        use = (
            f"not usable, as {counted(unknown, 'image is', 'images are')} missing"
            if unknown
            else f"data.split.column: {SET_COLUMN} uses it"
        )
        notes.append(f"{IMAGE_SETS}/Main lists a split into train, validation and test; {use}")
        if not unknown:
            columns[SET_COLUMN] = [parts[stem] for stem in stems]
    return Rows(files, sets, columns=columns, notes=tuple(notes), ignored=tuple(ignored))
