"""Labels beside or around each image: COCO object annotations, Pascal VOC, and a folder for each label."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.label_files import Rows, bytes_of, decoded, json_of, looks_like_image
from thaw.trainables.data.own_results import holds_own_results


def read_coco(images: Path, labels: Path | None, classes: dict[str, str] | None) -> Rows:
    """COCO object annotations: an image carries the categories of its annotations; one without any has no label."""
    assert labels is not None
    content = json_of(labels, "labels")

    def wrong(message: str) -> ConfigError:
        return ConfigError(f"{labels}: {message}; needs COCO's object annotations", key="labels")

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
    unique((name for _, name in categories), "categories are named")
    listed = [(id, str(file)) for id, file in entries("images", "id", "file_name")]
    unique((id for id, _ in listed), "images have the id")
    names, files = dict(categories), dict(listed)
    found: dict[Any, set[str]] = {id: set() for id in files}
    for image, category in entries("annotations", "image_id", "category_id"):
        for id, known, section in ((image, found, "images"), (str(category), names, "categories")):
            if id not in known:
                message = f"an annotation speaks of {id!r}, which is not in {section!r}; add it or drop the annotation"
                raise ConfigError(f"{labels}: {message}", key="labels")
        found[image].add(str(category))
    return Rows(list(files.values()), [frozenset(ids) for ids in found.values()], classes=names)


def read_voc(images: Path, labels: Path | None, classes: dict[str, str] | None) -> Rows:
    """A folder of Pascal VOC annotations: one XML file an image, with ``filename`` and ``object/name``."""
    assert labels is not None
    if not labels.is_dir():
        raise ConfigError(f"{labels}: format voc needs a folder of XML files, got a file", key="labels")
    files, sets = [], []
    for path in sorted(labels.glob("*.xml")):
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
        files.append(file)
        sets.append(frozenset(names))
    return Rows(files, sets)


def read_folders(images: Path, labels: Path | None, classes: dict[str, str] | None) -> Rows:
    """A folder for each label below the image folder; whatever lies deeper belongs to it.

    Links are followed, also to folders elsewhere, and each folder is read once for a label, so that links in a circle
    end. Hidden files and folders are left out, and so is what Thaw itself has written.
    """
    if labels is not None:
        raise ConfigError(f"format folders takes its labels from data.images, got {labels}; remove it", key="labels")
    root = _Folder(images)
    rows: list[tuple[str, str]] = []
    rejected = [(file, "not in the folder of a label") for file in root.files] + root.faults("")
    for top in root.folders:
        label = decoded(os.fsencode(top))
        seen, waiting = {root.identity}, [top]
        while waiting:
            name = waiting.pop()
            folder = _Folder(images / name)
            if folder.identity in seen:
                rejected.append((name, "link to a folder that is read already"))
                continue
            seen.add(folder.identity)
            waiting += [f"{name}/{deeper}" for deeper in reversed(folder.folders)]
            rows += [(f"{name}/{file}", label) for file in folder.files]
            rejected += folder.faults(f"{name}/")
    rows.sort(key=lambda row: row[0].split("/"))
    return Rows([file for file, _ in rows], [frozenset([label]) for _, label in rows], rejected=tuple(rejected))


class _Folder:
    """What a folder holds, by name: folders, files called like images, and links that lead nowhere; nothing hidden."""

    def __init__(self, path: Path) -> None:
        self.folders: list[str] = []
        self.files: list[str] = []
        self.broken: list[str] = []
        try:
            status = os.stat(path)
            self.identity = (status.st_dev, status.st_ino)
            with os.scandir(path) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if not entry.name.startswith("."):
                        self._add(entry)
        except OSError as error:
            rule = f"{path} is no folder that can be read ({error.strerror}), so its images would be missed"
            raise ConfigError(f"{rule}; correct the path or its permissions", key="images") from error

    def _add(self, entry: os.DirEntry[str]) -> None:
        link = entry.is_symlink()
        if link and not os.path.exists(entry):
            self.broken.append(entry.name)
        elif os.path.isdir(entry) if link else entry.is_dir():
            if not holds_own_results(Path(entry)):
                self.folders.append(entry.name)
        elif looks_like_image(entry.name):
            self.files.append(entry.name)

    def faults(self, place: str) -> list[tuple[str, str]]:
        return [(place + name, "link that leads nowhere") for name in self.broken]
