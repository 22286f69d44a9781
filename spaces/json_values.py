"""Values for JSON, which has no infinite numbers and no NaN."""

from __future__ import annotations

import math
from sys import intern
from typing import Any


def finite(value: Any) -> Any:
    """`value` with None in place of every float that is NaN or infinite, also within dictionaries and lists.

    Equal keys share one string in memory, as rows from elsewhere would each bring their own.
    """
    if isinstance(value, dict):
        return {intern(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
