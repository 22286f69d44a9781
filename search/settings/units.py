"""Values with units, and paths, as people write them in a search file.

A value that is not a string passes unchanged, to be checked as a number.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator


def seconds(value: object) -> object:
    """``2h``, ``1h30m``, ``90s`` or a number of seconds, as seconds."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", "".join(value.split()))
    if match is None or not any(match.groups()):
        raise ValueError("must be a time such as 90s, 30m, 2h or 1d12h")
    days, hours, minutes, rest = (int(group or 0) for group in match.groups())
    return float(((days * 24 + hours) * 60 + minutes) * 60 + rest)


def size_in_bytes(value: object) -> object:
    """``20GB``, ``500MB`` or a number of bytes, as bytes."""
    if not isinstance(value, str):
        return value
    match = re.fullmatch(r"(\d{1,18}(?:\.\d{1,18})?)([kMGT]?)B?", "".join(value.split()))
    if match is None:
        raise ValueError("must be a size such as 500MB or 20GB")
    return int(float(match[1]) * 1000 ** " kMGT".index(match[2] or " "))


def word_off(value: object) -> object:
    """YAML reads the word ``off`` as false."""
    return "off" if value is False else value


def path_text(text: str) -> str:
    """A path that is possible on this system."""
    if not text.strip():
        raise ValueError("must be a path, which has at least one character; `.` is the current folder")
    try:
        if b"\0" in os.fsencode(text):
            raise ValueError("it holds a zero byte")
        Path(text).expanduser()
    except (ValueError, RuntimeError) as error:
        raise ValueError(f"must be a path of this system: {error}") from None
    return text


LONGEST_NAME = 100
"""Characters in the name of a run."""


def run_name(text: str) -> str:
    """A name that is also that of a folder, on every system and in every shell."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text):
        fitting = re.sub(r"[^A-Za-z0-9._-]+", "-", text).strip("-._")
        fix = f"; write {fitting}" if fitting else ""
        raise ValueError(
            f"must consist of letters a-z, digits, `.`, `_` and `-`, and begin with one of the first two{fix}"
        )
    return text


def different(entries: tuple[str, ...]) -> tuple[str, ...]:
    """A list without repetitions."""
    repeated = [entry for place, entry in enumerate(entries) if entry in entries[:place]]
    if repeated:
        raise ValueError(f"names {repeated[0]} twice; remove one")
    return entries


Seconds = Annotated[float, BeforeValidator(seconds)]
Bytes = Annotated[int, BeforeValidator(size_in_bytes)]
PathText = Annotated[str, AfterValidator(path_text)]
