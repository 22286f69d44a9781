"""What a refusal by pydantic means for the author of a search file: the rule, the value received and the fix."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from pydantic_core import ErrorDetails

from thaw.spaces.errors import closest

LONGEST = 200
"""Characters of a value that a message shows."""

_DECIMAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def refused(errors: Sequence[ErrorDetails]) -> str:
    """Rule, value received and fix in one sentence; a value of several possible types breaks several rules at once."""
    got = errors[0]["input"]
    rules = " or ".join(dict.fromkeys(_rule(error["msg"]) for error in errors))
    # Rules on a whole section name the values themselves.
    whole_section = errors[0]["type"] == "value_error" and isinstance(got, dict)
    received = "" if whole_section else f", got {_shown(got)}"
    fixes = (fix(errors, got) for kinds, fix in _FIXES if any(error["type"] in kinds for error in errors))
    # A rule of ours may end with its own fix.
    rule, semicolon, fix = rules.partition("; ")
    return f"{rule}{received}{semicolon}{fix}" if fix else rule + received + next(filter(None, fixes), "")


def _rule(message: str) -> str:
    message = message.removeprefix("Value error, ").removeprefix("Input ")
    if "valid tuple" in message:
        return "should be a list"
    if "valid dictionary" in message:
        return "should be `key: value` lines"
    return f"{message[0].lower()}{message[1:]}".replace("tuple", "list").replace(" after validation", "")


def _shown(got: Any) -> str:
    if got is None:
        return "nothing"
    text = repr(got)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"


def _number(errors: Sequence[ErrorDetails], got: Any) -> str:
    """A number in quotes, as a percentage, with a decimal comma, or a whole one with a point."""
    if isinstance(got, float):
        return f"; write {int(got)}" if errors[0]["type"] == "int_type" and got.is_integer() else ""
    if not isinstance(got, str):
        return ""
    text = got.strip().replace(",", ".")
    if _DECIMAL.fullmatch(text):
        return f"; write {text}, without quotes"
    return f"; write {float(text[:-1]) / 100:g}" if text.endswith("%") and _DECIMAL.fullmatch(text[:-1]) else ""


def _word(errors: Sequence[ErrorDetails], got: Any) -> str:
    if isinstance(got, bool):
        return "; YAML reads yes, no, on and off as true and false, unless they are in quotes"
    return "; put it in quotes" if errors[0]["type"] == "string_type" and isinstance(got, int | float) else ""


def _similar(errors: Sequence[ErrorDetails], got: Any) -> str:
    names = [name for error in errors for name in re.findall(r"'([^']+)'", error.get("ctx", {}).get("expected", ""))]
    close = None if got is None else closest(got, names)
    return f"; did you mean {close}?" if close else ""


def _listed(errors: Sequence[ErrorDetails], got: Any) -> str:
    return f"; put it in brackets, as in [{got}]" if len(errors) == 1 and isinstance(got, str | dict) else ""


def _empty(errors: Sequence[ErrorDetails], got: Any) -> str:
    below = errors[0]["type"] in _SECTIONS
    fix = "write its keys below it, indented, or remove it" if below else "write a value, or remove the key"
    return f"; {fix}" if got is None else ""


_NUMBERS = ("int_type", "float_type")
_SECTIONS = ("dict_type", "model_type")
_FIXES: tuple[tuple[tuple[str, ...], Callable[[Sequence[ErrorDetails], Any], str]], ...] = (
    (_NUMBERS, _number),
    (("string_type", "literal_error", *_SECTIONS), _word),
    (("literal_error",), _similar),
    (("tuple_type",), _listed),
    ((*_NUMBERS, *_SECTIONS, "string_type", "bool_type", "tuple_type", "literal_error"), _empty),
)
"""Kinds of refusals → the fix for what people write there; the first that knows one."""
