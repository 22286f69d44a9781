"""Paths as people write them: ``~`` is the home folder."""

from __future__ import annotations

import os
from pathlib import Path


def expanded(text: str | Path) -> Path:
    """A path with ``~`` and ``~user`` replaced by their home folders.

    As in a shell, and unlike :meth:`pathlib.Path.expanduser`, the ``~`` of no known user is a plain character, so that
    a file called ``~$photo.jpg`` can be named.

    >>> expanded("~$photo.jpg").name
    '~$photo.jpg'
    """
    return Path(os.path.expanduser(text))
