"""Values as JSON holds them, which has no numbers that are not finite."""

from __future__ import annotations

import math
from sys import intern
from typing import Any


def finite(value: Any) -> Any:
    """`value` with None in place of every float that is NaN or infinite, within dictionaries and lists, too.

    Equal keys become one text in memory: of rows that came from elsewhere each would bring its own.
    """
    if isinstance(value, dict):
        return {intern(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
