"""Cells with labels inside objects, as annotation programs write them: ``{"choices": ["cat"]}``."""

from __future__ import annotations

from typing import Any

_BOX = ("x", "y", "width", "height", "rotation", "original_width", "original_height")

NESTED: dict[str, frozenset[str]] = {
    "choices": frozenset(),  # Label Studio
    "rectanglelabels": frozenset(_BOX),
    "ellipselabels": frozenset((*_BOX, "radiusX", "radiusY")),
    "polygonlabels": frozenset((*_BOX, "points", "closed")),
    "keypointlabels": frozenset(_BOX),
    "brushlabels": frozenset((*_BOX, "format", "rle")),
    "label": frozenset(("coordinates",)),  # CreateML
    "tagName": frozenset(("tagId", "created")),  # Azure Custom Vision
    "displayName": frozenset(("annotationResourceLabels", "xMin", "yMin", "xMax", "yMax")),  # Vertex AI
}
"""Key of the label → keys that may be beside it. Others, such as ``score``, may say that the image lacks the label."""


def nested_labels(value: Any) -> list[str] | None:
    """The labels in an object, or in a list of objects, of `NESTED`; None for any other value."""
    entries = value if isinstance(value, list) else [value]
    found: list[str] = []
    for entry in entries:
        if not isinstance(entry, dict):
            return None
        keys = [key for key in NESTED if key in entry]
        if len(keys) != 1 or not entry.keys() - {keys[0]} <= NESTED[keys[0]]:
            return None
        labels = entry[keys[0]]
        labels = labels if isinstance(labels, list) else [labels]
        if not all(isinstance(label, str) for label in labels):
            return None
        found += labels
    return found if entries else None
