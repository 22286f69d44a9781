"""Values for JSON in UTF-8, which has no infinite numbers, no NaN and no halves of surrogate pairs."""

from __future__ import annotations

import math
from sys import intern
from typing import Any


def storable(value: Any) -> Any:
    """`value` with None for every float that is NaN or infinite, and escapes for what is no text in a string.

    The latter comes from file names that are not valid in the system's encoding. Dictionaries and lists are gone
    through. Equal keys share one string in memory, as rows from elsewhere would each bring their own.
    """
    if isinstance(value, dict):
        return {intern(storable(key)): storable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [storable(item) for item in value]
    if isinstance(value, str) and not value.isascii():
        return value.encode(errors="backslashreplace").decode()
    return None if isinstance(value, float) and not math.isfinite(value) else value
