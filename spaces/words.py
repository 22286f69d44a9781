"""Counts in messages."""

from __future__ import annotations


def counted(count: int, thing: str, things: str = "") -> str:
    """A count and what it counts, in the singular or the plural.

    Args:
        count: how many.
        thing: the singular.
        things: the plural, if it is more than `thing` with an s.

    >>> counted(1, "row repeats", "rows repeat"), counted(5000, "trial")
    ('1 row repeats', '5,000 trials')
    """
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"
