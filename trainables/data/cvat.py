"""Labels from an export of CVAT, `CVAT for images`: one XML file with all images."""

from __future__ import annotations

import pandas as pd

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.label_files import Rows, xml_of
from thaw.trainables.data.parts import part_of
from thaw.trainables.data.reading import Source

ROOT, SUBSET = "annotations", "subset"


def read_cvat(source: Source) -> Rows:
    """An image has the labels of its tags and shapes; an image without any has no label.

    The subsets of a project become a column for ``data.split.column``.

    Raises:
        ConfigError: the file is not such an export, such as one of a video.
    """
    path = source.labels
    assert path is not None
    root = xml_of(path, "labels")
    images = root.findall("image") if root.tag == ROOT else []
    if not images:
        what = "the tracks of a video" if root.find("track") is not None else f"<{root.tag}> without images"
        raise ConfigError(
            f"{path}: must be an export of CVAT in the format CVAT for images, got {what}; Pascal VOC is read from a "
            "folder of XML files, one per image",
            key="labels",
        )
    files, sets = [], []
    for number, image in enumerate(images, 1):
        labels = [shape.get("label", "").strip() for shape in image]
        for name, missing in (("name", not image.get("name")), ("label", "" in labels)):
            if missing:
                message = f"image {number} ({image.get('name', 'no name')}) lacks the attribute {name!r}"
                raise ConfigError(f"{path}: {message}; export it again as CVAT for images", key="labels")
        files.append(image.get("name", ""))
        sets.append(frozenset(labels))
    subsets = [image.get(SUBSET, "") for image in images]
    columns, notes = pd.DataFrame({SUBSET: subsets}, dtype=object), []
    if len(set(subsets)) > 1 and all(part_of(subset) is not None for subset in subsets):
        notes.append(f"the images are in subsets; data.split.column: {SUBSET} uses them as the split")
    return Rows(files, sets, columns=columns, notes=tuple(notes))
