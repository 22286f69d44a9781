"""Files with values replaced, removed or made hostile, for property tests."""

from __future__ import annotations

import copy
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from thaw.spaces import ConfigError

NUMBERS = [-5, 0, 1, 10**9, 10**400, 0.5, math.nan, math.inf]
HOSTILE: list[Any] = [*NUMBERS, None, True, "", "x", "0", "\ud800", "../../x", [], {}, [[]], {"x": 1}]
ABSENT = object()


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value within JSON values."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def with_value(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with `value` at `path`; ABSENT removes the entry."""
    if not path:
        return None if value is ABSENT else value
    content = copy.deepcopy(content)
    place = content
    for key in path[:-1]:
        place = place[key]
    if value is ABSENT:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return content


@st.composite
def damaged(draw: st.DrawFn, content: Any) -> Any:
    """`content` with one to three values replaced or removed."""
    for _ in range(draw(st.integers(1, 3))):
        content = with_value(content, draw(st.sampled_from(places(content))), draw(st.sampled_from([ABSENT, *HOSTILE])))
    return content


@st.composite
def damaged_log(draw: st.DrawFn, text: str) -> str:
    """An event log with one line damaged, lost, repeated or moved, and sometimes cut short."""
    lines = [json.loads(line) for line in text.splitlines()]
    at = draw(st.integers(0, len(lines) - 1))
    match draw(st.sampled_from(["values", "lost", "twice", "moved", "torn"])):
        case "values":
            lines[at] = draw(damaged(lines[at]))
        case "lost":
            del lines[at]
        case "twice":
            lines.insert(draw(st.integers(0, len(lines))), lines[at])
        case "moved":
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
    text = "".join(json.dumps(line) + "\n" for line in lines)
    return text[: draw(st.integers(0, len(text)))] if at % 5 == 0 else text


def right_or_refused(read: Callable[[], object], place: Path) -> None:
    """Check that `read` succeeds, or says what is wrong with which file in a folder."""
    try:
        read()
    except ConfigError as error:
        assert str(error).startswith(f"{place}/"), error
        # Printing it must work, too.
        str(error).encode(errors="backslashreplace")


PROPERTY = settings(max_examples=int(os.environ.get("THAW_EXAMPLES", "60")))
