"""Values with units, as people write them in a search file. What is no text passes, to be checked as a number."""

from __future__ import annotations

import re


def seconds(value: object) -> object:
    """``2h``, ``1h30m``, ``90s`` or a number of seconds, as seconds."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(?:(\d+)d)?\s*(?:(\d+)h)?\s*(?:(\d+)m)?\s*(?:(\d+)s)?\s*", value)
    if match is None or not any(match.groups()):
        raise ValueError("must be a time such as 90s, 30m, 2h or 1d12h")
    days, hours, minutes, rest = (int(group or 0) for group in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + rest)


def size_in_bytes(value: object) -> object:
    """``20GB``, ``500MB`` or a number of bytes, as bytes."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kMGT]?)B?\s*", value)
    if match is None:
        raise ValueError("must be a size such as 500MB or 20GB")
    return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))


def word_off(value: object) -> object:
    """YAML reads the word ``off`` as false."""
    return "off" if value is False else value
