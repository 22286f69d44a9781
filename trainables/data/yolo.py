"""Labels from YOLO's annotations: a folder of text files, one per image, with a class number and positions per line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.label_files import Rows, text_of, visible_files
from thaw.trainables.data.parts import part_of
from thaw.trainables.data.reading import Source
from thaw.trainables.data.yaml_labels import yaml_content

LISTS_OF_NAMES = ("classes.txt", "obj.names", "_darknet.labels")
SETTINGS = ("data.yaml", "dataset.yaml", "data.yml")
"""Files that name the classes, in the folder of annotations or up to two folders above."""

_LINE = re.compile(r"\d+(?:\s+-?\d*\.?\d+(?:[eE][-+]?\d+)?){4,}")


def read_yolo(source: Source) -> Rows:
    """An image has the classes of its lines; an image with an empty file has no label.

    The file of an annotation has the name and subfolder of its image, with another extension and ``labels`` instead of
    ``images``. If all are in folders for training, validation and test, these are the split.

    Raises:
        ConfigError: a line is something else, or a class has no name where others have.
    """
    labels = source.labels
    assert labels is not None
    if not labels.is_dir():
        message = "format yolo needs a folder of text files, got a file; give the folder of annotations"
        raise ConfigError(f"{labels}: {message}", key="labels")
    files, sets, ignored = [], [], []
    for path in visible_files(labels):
        name = path.relative_to(labels).as_posix()
        other = path.name in LISTS_OF_NAMES or path.name.lower().startswith("readme")
        if path.suffix.lower() != ".txt" or other:
            ignored.append((name, "not an annotation (.txt)"))
            continue
        classes = set()
        for number, line in enumerate(text_of(path, "labels", source.reading.encoding).splitlines(), 1):
            words = line.split()
            if words and (not _LINE.fullmatch(line.strip()) or len(words) == 6):
                why = "has a score, as predictions have" if len(words) == 6 else "must be a class number and positions"
                raise ConfigError(
                    f"{path}: line {number} {why}, got {line.strip()[:60]!r}; give annotations of YOLO, such as "
                    "'0 0.5 0.5 0.1 0.2'",
                    key="labels",
                )
            classes |= {str(int(words[0]))} if words else set()
        files.append(_image_of(name.removesuffix(path.suffix)))
        sets.append(frozenset(classes))
    found = None if source.known else _names(labels)
    notes = [f"the classes are named by {found[0]}"] if found else []
    if not found and not source.known:
        notes.append("the classes have no names; let data.classes list them, one per line")
    parts = [part for file in files if (part := part_of(file.split("/")[0])) is not None]
    split = len(parts) == len(files) and len(set(parts)) > 1
    if split:
        notes.append("the folders for training, validation and test are the split")
    return Rows(
        files,
        sets,
        classes=found[1] if found else None,
        notes=tuple(notes),
        ignored=tuple(ignored),
        parts=parts if split else None,
    )


def _image_of(name: str) -> str:
    """The image of an annotation, both without extension: ``train/labels/a`` → ``train/images/a``."""
    before, found, after = f"/{name}".rpartition("/labels/")
    return f"{before}/images/{after}".lstrip("/") if found else name


def _names(labels: Path) -> tuple[Path, dict[str, str]] | None:
    """The nearest file that names the classes, and number → name; None if there is none."""
    for folder in (labels, labels.absolute().parent, labels.absolute().parent.parent):
        for name in (*LISTS_OF_NAMES, *SETTINGS):
            path = folder / name
            if not path.is_file():
                continue
            text = text_of(path, "labels")
            listed: Any = [line.strip() for line in text.rstrip().splitlines()]
            if name in SETTINGS:
                content = yaml_content(text, path, "labels")
                listed = content.get("names") if isinstance(content, dict) else None
            names = dict(enumerate(listed)) if isinstance(listed, list) else listed
            if not isinstance(names, dict):
                continue
            values = list(names.values())
            if not all(isinstance(one, str) and one for one in values) or len(set(values)) < len(values):
                raise ConfigError(f"{path}: must give each class a name of its own; correct it", key="labels")
            return path, {str(number): one for number, one in names.items()}
    return None
