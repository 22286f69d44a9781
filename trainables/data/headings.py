"""Headings by which columns of file names and of labels are recognised."""

from __future__ import annotations

import re

FILE_HEADINGS = (
    *("filename", "file_name", "file", "image", "image_name", "image_id", "image_path", "path", "name", "id"),
    *("img", "fname", "imageid", "image_index", "filepath", "file_path", "img_path", "img_name", "picture", "photo"),
)
"""Usual headings of file names, the most specific first."""

LABEL_HEADINGS = (
    *("labels", "label", "classes", "class", "tags", "tag", "categories", "category", "targets", "target"),
    *("labelname", "label_name", "class_name", "category_name", "finding_labels", "genres", "genre", "species"),
    *("lbl", "diagnosis", "dx", "attribute_ids", "choice", "category_id", "class_id", "label_id"),
    *("classificationannotation", "classificationannotations", "boundingboxannotations"),
)
"""Usual headings of a column with all labels of an image, the most specific first."""

USUAL_HEADINGS = frozenset(FILE_HEADINGS + LABEL_HEADINGS)


def heading(cell: str) -> str:
    """A heading in normalised spelling: ``Image Index``, ``image-index`` → ``image_index``."""
    return re.sub(r"\W+", "_", cell.strip().lower()).strip("_")
