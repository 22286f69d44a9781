"""The formats of label files: the table of their readers, and the detection of a file's format.

A reader only returns file names and labels as written. :mod:`thaw.trainables.data.dataset` matches names, joins
repeated rows and builds the label matrix.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from thaw.trainables.data.annotations import read_coco, read_voc
from thaw.trainables.data.automl import is_automl, read_automl
from thaw.trainables.data.csv_labels import read_csv, read_paper
from thaw.trainables.data.cvat import read_cvat
from thaw.trainables.data.label_files import Rows, bytes_of, text_of, visible_files
from thaw.trainables.data.label_folders import metadata_files, read_folders, read_imagefolder
from thaw.trainables.data.labelme import read_labelme
from thaw.trainables.data.reading import Source
from thaw.trainables.data.records import PARQUET
from thaw.trainables.data.typed_tables import JSON_LINES, YAML, is_json_lines
from thaw.trainables.data.yolo import read_yolo

READERS: dict[str, Callable[[Source], Rows]] = {
    "csv": read_csv,
    "paper": read_paper,
    "coco": read_coco,
    "voc": read_voc,
    "cvat": read_cvat,
    "automl": read_automl,
    "yolo": read_yolo,
    "labelme": read_labelme,
    "folders": read_folders,
    "imagefolder": read_imagefolder,
}
"""``data.format`` → reader."""

FROM_IMAGES = ("folders", "imagefolder")
"""Formats that need no label file."""


ANNOTATIONS = {".xml": "voc", ".txt": "yolo", ".json": "labelme"}
"""Extension of annotations in a folder, one file per image → their format."""

COCO = re.compile(r'"(categories|annotations)"\s*:')
"""Keys of COCO, and of no map of labels."""


def detect_format(source: Source) -> str:
    """The format that ``format: auto`` stands for.

    Raises:
        ConfigError: the label file cannot be read.
    """
    labels = source.labels
    if labels is None:
        return "imagefolder" if metadata_files(source.images) else "folders"
    if labels.is_dir():
        endings = {path.suffix.lower() for path in visible_files(labels)}
        # A folder of any other files is refused with the kinds that are read.
        return next((ANNOTATIONS[ending] for ending in ANNOTATIONS if endings & {*ANNOTATIONS} == {ending}), "voc")
    if bytes_of(labels, "labels")[:4] == PARQUET:
        return "csv"
    text = text_of(labels, "labels", source.reading.encoding).strip()
    if text.startswith("<"):
        return "cvat"
    if is_json_lines(text, labels) or re.match(r"\[\s*\{", text) or labels.suffix.lower() in (*JSON_LINES, *YAML):
        return "csv"
    if text.startswith("{"):
        return "coco" if COCO.search(text) else "csv"
    if labels.suffix.lower() == ".json":
        return "coco"
    if is_automl(text):
        return "automl"
    first_line = text.partition("\n")[0]
    return "paper" if re.fullmatch(r"[^\t]+\.\w+\t\d+(,\d+)*\s*", first_line) else "csv"
