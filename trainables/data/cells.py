"""Cells of a label column → labels: list literals, separators, missing values."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from thaw.spaces.errors import ConfigError

MISSING = frozenset(
    ("", "nan", "NaN", "NAN", "-nan", "-NaN", "None", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "null", "NULL", "NaT")
)
"""How tables write that there is no value. ``none`` is not among them: it may be the name of a label."""

SIGNS = "|;,；，、"
"""What may separate labels, before blanks, in this order."""

UNCERTAIN = 2
"""What -1 says beside 1 and 0."""

BINARY = {
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "f"), 0),
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "t"), 1),
    **dict.fromkeys(("-1", "-1.0"), UNCERTAIN),
}
"""Cells of a column that stands for one label, in upper or lower case."""

FEW = 20
"""Images from which on it means something that nearly every one has a label of its own."""

_QUOTED = re.compile(r"'([^']*)'|\"([^\"]*)\"|([^\s,\[\]()'\"]+)")


class CellError(ConfigError):
    """A column cannot be labels; the text begins with the column."""


def label_sets(
    column: str, cells: Sequence[str], known: frozenset[str], separator: str, notes: list[str]
) -> list[frozenset[str]]:
    """The labels of each cell.

    Args:
        column: its heading, for notes and errors.
        known: labels known beforehand; where every cell is one of them, none is taken apart.
        separator: ``auto``, ``none``, or the sign between labels.
        notes: what was guessed is added.

    Raises:
        CellError: the column holds vectors, numbers that are no class, or remarks.
    """
    times = Counter(cells)
    missing = {cell for cell in times if cell.strip() in MISSING and cell.strip() not in known}
    if missing:
        count = sum(times[cell] for cell in missing)
        spelled = sorted({cell.strip() for cell in missing} - {""})
        notes.append(f"{count} cells of {column!r} mean no label: {', '.join([*spelled, 'empty'])}")
    sets: dict[str, list[str]] = {cell: [] for cell in missing}
    plain = []
    for cell in times:
        if cell in missing:
            continue
        listed = _literal(cell.strip(), column) if separator == "auto" and cell.strip() not in known else None
        if listed is None:
            plain.append(cell)
        else:
            sets[cell] = listed
    if separator == "auto" and plain and all(re.fullmatch(r"\[.*\]|\{.*\}", cell.strip()) for cell in plain):
        # Lists without quotes, such as arrays of PostgreSQL: every cell is one.
        sets |= {cell: [part.strip() for part in cell.strip()[1:-1].split(",")] for cell in plain}
        plain = []
    if len(sets) > len(missing):
        notes.append(f"cells of {column!r} are read as lists")
        _refuse_vectors([sets[cell] for cell in sets if cell not in missing], column)
    if any("\n" in cell or "\r" in cell for cell in plain):
        raise CellError(f"labels in column {column!r} run over several lines; close the quote before them")
    stripped = {cell: cell.strip() for cell in plain}
    sign = _separator(column, set(stripped.values()), known, separator, notes)
    if separator == "auto" and sign is None:
        _hint(column, set(stripped.values()), notes)
    whole = []
    for cell, text in stripped.items():
        sets[cell] = [text] if sign is None else [part for part in _split(text, sign) if part]
        if sign is None or len(sets[cell]) == 1:
            whole.append(cell)
    if separator == "auto" and sign is not None and len(stripped) == len(plain) and plain:
        _refuse_vectors([sets[cell] for cell in plain], column)
    labels = {label for parts in sets.values() for label in parts}
    say_variants(labels | set(whole), notes)
    if signs := sorted(label for label in labels - known if label.isascii() and not any(map(str.isalnum, label))):
        notes.append(f"{', '.join(map(repr, signs[:5]))} in {column!r} are read as labels, not as missing values")
    if not labels <= known:
        _refuse_numbers(column, labels)
        images = sum(times[cell] for cell in times if cell not in missing)
        if images >= FEW and len(labels) > images / 2:
            raise CellError(
                f"column {column!r} holds {len(labels)} different labels for {images} images; is this the column of "
                "labels? Name it by data.columns.labels"
            )
    made = {cell: frozenset(parts) for cell, parts in sets.items()}
    return [made[cell] for cell in cells]


def _split(text: str, sign: str) -> list[str]:
    if sign == " ":
        return text.split()
    return [part.strip() for part in text.split(sign)]


def _literal(cell: str, column: str) -> list[str] | None:
    """The labels of a cell that holds a list as Python, JSON or NumPy writes it; None for any other cell."""
    if not (cell[:1] + cell[-1:] in ("[]", "()", "{}") and len(cell) > 1):
        return None
    value: Any = None
    # NumPy leaves the commas out, and Python would join ['a' 'b'] to one text.
    if "," not in cell and len(cell.split()) > 1 and cell[0] == "[":
        value = [next(filter(None, groups), "") for groups in _QUOTED.findall(cell[1:-1])]
    else:
        # Python cannot parse a bare nan, which pandas writes.
        for parse, text in ((json.loads, cell), (ast.literal_eval, re.sub(r"\bnan\b", "None", cell))):
            try:
                value = parse(text)
                break
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
    if isinstance(value, dict) or (isinstance(value, list | tuple | set) and any(map(_nested, value))):
        raise CellError(f"column {column!r} holds nested values such as {cell[:60]!r}; give lists of labels")
    if not isinstance(value, list | tuple | set):
        return None
    return [str(part).strip() for part in value if part is not None and part == part]


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list | tuple | set)


def _refuse_vectors(lists: list[list[str]], column: str) -> None:
    """Lists of 0 and 1, all of one length, or of decimal numbers, are vectors and no labels."""
    lengths = {len(one) for one in lists if one}
    if len(lengths) == 1 and max(lengths) > 1:
        binary = all(part.lower() in BINARY for one in lists for part in one)
        if binary or any(_decimal(part) for one in lists for part in one):
            raise CellError(
                f"column {column!r} holds vectors such as [{', '.join(lists[0][:5])}]; give the names of the labels, "
                "or a 0/1 column for each"
            )


HINTS = "+/&"
"""Signs that may separate labels but stand in names as well, so that the user has to say it."""


def _hint(column: str, cells: set[str], notes: list[str]) -> None:
    """A note where a part of some cells by another sign stands alone elsewhere."""
    for sign in HINTS:
        joined = [cell for cell in cells if sign in cell and any(part in cells for part in _split(cell, sign))]
        if joined:
            notes.append(
                f"{min(joined)!r} in {column!r} is one label, though parts of it are labels, too; "
                f"data.separator: {sign!r} would take it apart"
            )
            return


def _decimal(text: str) -> bool:
    return bool(re.fullmatch(r"[-+]?(\d*\.\d+([eE][-+]?\d+)?|\d+[eE][-+]?\d+)", text)) and not float(text).is_integer()


def _refuse_numbers(column: str, labels: set[str]) -> None:
    numbers = {re.sub(r"^(-?\d+),(\d+)$", r"\1.\2", label): label for label in labels}
    if not any(map(_decimal, numbers)):
        return
    try:
        [float(number) for number in numbers]
    except ValueError:
        return
    example = numbers[next(filter(_decimal, sorted(numbers)))]
    raise CellError(
        f"column {column!r} holds numbers such as {example}, which name no class; choose another by data.columns.labels"
    )


def say_variants(labels: Iterable[str], notes: list[str]) -> None:
    """Labels that differ in case, Unicode composition or outer blanks only are said."""
    same: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        visible = "".join(sign for sign in label if unicodedata.category(sign) != "Cf")
        same[" ".join(unicodedata.normalize("NFKC", visible).casefold().split())].add(label)
    for variants in list(filter(lambda found: len(found) > 1, same.values()))[:5]:
        written = ", ".join(map(repr, sorted(variants)))
        notes.append(f"labels differ in case or blanks only: {written}; outer blanks are dropped, case counts")


def _separator(column: str, cells: set[str], known: frozenset[str], separator: str, notes: list[str]) -> str | None:
    """The sign that separates labels in these different cells; None where each is one label."""
    if separator != "auto":
        return None if separator == "none" else separator
    if known and cells <= known:
        return None
    for sign in [*SIGNS, " "]:
        parts = {cell: [part for part in _split(cell, sign) if part] for cell in cells if sign in cell}
        if not parts:
            continue
        shown = "blanks" if sign == " " else repr(sign)
        if known and all(part in known for found in parts.values() for part in found):
            listed = True
        else:
            listed = _behave_like_lists(parts, cells, sign)
        if listed:
            notes.append(f"labels in {column!r} are separated by {shown}")
            return sign
        notes.append(
            f"{shown} in {column!r} are read as part of names such as {min(parts)!r}, as the parts do not recur like "
            "those of lists; data.separator would split them"
        )
        return None
    return None


def _behave_like_lists(parts: dict[str, list[str]], cells: set[str], sign: str) -> bool:
    """Whether the parts of the cells that hold `sign` are labels of their own: they recur alone or in other company.

    Blanks and commas stand in names, too, and names share words (polar bear, brown bear). There one part that recurs
    proves little: either the parts make no more labels than the cells did, or at least half of the cells hold a part
    that stands alone elsewhere, changes its place, or recurs as all parts beside it do.
    """
    several = {cell: found for cell, found in parts.items() if len(found) > 1}
    if not several:
        return True
    if all(re.fullmatch(r"-?\d+", part) for found in parts.values() for part in found):
        # 0,05 is a number with a decimal comma.
        return not any(re.fullmatch(r"0\d+", part) for found in parts.values() for part in found[1:])
    alone = (cells - parts.keys()) | {found[0] for found in parts.values() if len(found) == 1}
    companies = Counter(part for found in several.values() for part in set(found))

    def recurs(part: str) -> bool:
        return part in alone or companies[part] > 1

    if sign == "|":
        return True  # names hold no bars
    if not any(recurs(part) for found in several.values() for part in found):
        return False
    if sign == ";":
        return True
    repeated = sum(len(set(found)) < len(found) for found in several.values())
    if repeated > len(several) / 10:
        return False
    vocabulary = {part for found in several.values() for part in found} | alone
    if len(vocabulary) <= len(cells):
        return True
    places: dict[str, set[str]] = defaultdict(set)
    for found in several.values():
        for i, part in enumerate(found):
            places[part].add("first" if i == 0 else "last" if i == len(found) - 1 else f"middle {i} {found[0]}")
    explained = sum(
        all(map(recurs, found)) or any(part in alone or len(places[part]) > 1 for part in found)
        for found in several.values()
    )
    return explained >= len(several) / 2
