"""Labels from LabelMe's annotations: a folder of JSON files, one per image, with shapes and flags."""

from __future__ import annotations

import posixpath
from typing import Any

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.csv_labels import rows_of
from thaw.trainables.data.label_files import Rows, json_of, visible_files
from thaw.trainables.data.reading import Source
from thaw.trainables.data.records import record_columns
from thaw.trainables.data.tables import Table


def read_labelme(source: Source) -> Rows:
    """An image has the labels of its shapes, or its flags that are set; of both, ``data.columns.labels`` chooses one.

    ``imagePath`` is relative to the folder of its annotation.

    Raises:
        ConfigError: a file is not such an annotation.
    """
    labels = source.labels
    assert labels is not None
    if not labels.is_dir():
        message = "format labelme needs a folder of JSON files, got a file; give the folder of annotations"
        raise ConfigError(f"{labels}: {message}", key="labels")
    rows: list[dict[str, Any]] = []
    for path in visible_files(labels):
        if path.suffix.lower() != ".json":
            continue
        content = json_of(path, "labels", source.reading.encoding)
        try:
            image = str(content["imagePath"]).replace("\\", "/")
            shapes = [str(shape["label"]) for shape in content["shapes"]]
            flags = [name for name, on in (content.get("flags") or {}).items() if on]
        except (KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}: is not an annotation of LabelMe ({type(error).__name__}: {error}); repair or remove it",
                key="labels",
            ) from None
        folder = path.parent.relative_to(labels).as_posix()
        file = image if folder == "." else posixpath.normpath(posixpath.join(folder, image))
        rows.append({"image": file, "shapes": shapes, "flags": flags})
    if not rows:
        raise ConfigError(f"{labels}: holds no annotation (.json); give the folder of annotations", key="labels")
    unused = [name for name in ("shapes", "flags") if not any(row[name] for row in rows)]
    kept = [{name: value for name, value in row.items() if name not in unused[:1]} for row in rows]
    return rows_of(Table(record_columns(kept), True, ["annotations of LabelMe"]), source)
