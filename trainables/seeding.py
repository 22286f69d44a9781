"""Seeds derived from their purpose, not from what ran before."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np


def derive_seed(*parts: object) -> int:
    """A seed for one purpose, e.g. ``derive_seed(search_seed, config.canonical(), "shuffle", epoch)``.

    Equal parts give equal seeds in every process, on every machine and in every Python version; different parts give
    unrelated ones. The parts are hashed (BLAKE2b) as JSON, so ``("ab", "c")`` differs from ``("a", "bc")`` and ``1``
    from ``"1"``. NumPy scalars are treated as plain numbers.

    Args:
        parts: numbers, strings, booleans, None, or lists and dictionaries of these.

    Returns:
        An integer in [0, 2^63), which Python, NumPy and torch all accept as a seed.

    Raises:
        TypeError: a part cannot be written as JSON.
    """
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), default=_plain)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def _plain(value: object) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"a seed is derived from numbers and strings, got {type(value).__name__}")
