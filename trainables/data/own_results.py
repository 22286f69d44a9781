"""Recognises Thaw's own results inside a folder of images: their pictures are not data."""

from __future__ import annotations

import os
from pathlib import Path

from thaw.trainables.data.label_files import looks_like_image

SIGNATURES = (
    ("events.jsonl", "search.yaml"),  # a run, whose report holds pictures
    ("bundle.json", "model.safetensors"),  # an exported model
    ("index.html", "plots", "tables"),  # a report on several runs
)
"""Sets of names that occur together only in a folder written by Thaw."""


def is_own(folder: Path) -> bool:
    """Whether Thaw has written this folder: a run, an exported model or a report."""
    # An unreadable folder counts as not Thaw's; its reader reports the error.
    return any(all(os.path.exists(folder / name) for name in names) for names in SIGNATURES)


def holds_own_results(folder: Path) -> bool:
    """Whether Thaw has written this folder, or it is the ``output`` of searches: folders of Thaw's, and no images."""
    if is_own(folder):
        return True
    try:
        with os.scandir(folder) as entries:
            found = [(entry.name, entry.is_dir()) for entry in entries]
    except OSError:
        return False  # the reader of the folder reports the error
    own = any(is_own(folder / name) for name, is_folder in found if is_folder)
    return own and not any(looks_like_image(name) for name, _ in found)
