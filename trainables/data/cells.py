"""From the cells of a label column to labels: list literals, separators, missing values."""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from thaw.spaces.errors import ConfigError
from thaw.spaces.words import counted
from thaw.trainables.data.nested_labels import nested_labels

MISSING = frozenset(
    ("", "nan", "NaN", "NAN", "-nan", "-NaN", "None", "NA", "N/A", "n/a", "<NA>", "#N/A", "#NA", "null", "NULL", "NaT")
)
"""Spellings of a missing value. ``none`` is not one of them: it may be the name of a label."""

LABEL_SEPARATORS = "|;,；，、"
"""Separators to try, in this order; blanks come last."""

UNSURE = 2
"""The value of -1 in a table that also has 1 and 0."""

BINARY = {
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "f"), 0),
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "t"), 1),
    **dict.fromkeys(("-1", "-1.0"), UNSURE),
}
"""Cells of a 0/1 column, in lower case → value."""

MIN_IMAGES = 20
"""Fewest images at which mostly unique labels suggest that the column holds remarks."""

_PARTS = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|[^\s\[\]()'\"]+", re.DOTALL)
"""The labels in a NumPy list, quoted as Python quotes them or not at all."""


_BOXES = re.compile(r"(?:(?!\d+(?:\.\d+)?\s)\S+(?:\s+\d+(?:\.\d+)?){4}\s*)+")
"""A cell of ImageNet's ``LOC_train_solution.csv``: each label is followed by the four sides of its box."""


class CellError(ConfigError):
    """A column does not hold labels. The message names the column; the caller adds the file."""


def label_sets(
    column: str, cells: Sequence[str], known: frozenset[str], separator: str, notes: list[str]
) -> list[frozenset[str]]:
    """The labels of each cell.

    Args:
        column: its heading, for notes and errors.
        known: labels from ``data.classes``; if every cell is one of them, no cell is split.
        separator: ``auto``, ``none``, or the separator itself.
        notes: notes on what was guessed are appended.

    Raises:
        CellError: the column holds vectors, measurements or remarks.
    """
    counts = Counter(cells)
    missing = {cell for cell in counts if cell.strip() in MISSING and cell.strip() not in known}
    if missing:
        count = sum(counts[cell] for cell in missing)
        spellings = sorted({cell.strip() for cell in missing} - {""})
        notes.append(
            f"{counted(count, 'cell')} of {column!r} {'is' if count == 1 else 'are'} read as no label: "
            f"{', '.join([*spellings, 'empty'])}"
        )
    sets: dict[str, list[str]] = {cell: [] for cell in missing}
    plain = []
    for cell in counts:
        if cell in missing:
            continue
        listed = _literal(cell.strip(), column) if separator == "auto" and cell.strip() not in known else None
        if listed is None:
            plain.append(cell)
        else:
            sets[cell] = listed
    if separator == "auto" and plain and all(re.fullmatch(r"\[.*\]|\{.*\}", cell.strip()) for cell in plain):
        # Lists without quotes, such as PostgreSQL arrays.
        sets |= {cell: [part.strip() for part in cell.strip()[1:-1].split(",")] for cell in plain}
        plain = []
    if len(sets) > len(missing):
        notes.append(f"cells of {column!r} are read as lists")
        _refuse_vectors([sets[cell] for cell in sets if cell not in missing], column)
    if any("\n" in cell or "\r" in cell for cell in plain):
        raise CellError(f"labels in column {column!r} span several lines; close the quote before them")
    stripped = {cell: cell.strip() for cell in plain}
    if stripped and separator == "auto" and all(map(_BOXES.fullmatch, stripped.values())):
        raise CellError(
            f"column {column!r} holds labels with the positions of boxes, such as {plain[0].strip()[:60]!r}; keep only "
            "the labels, separated by blanks"
        )
    chosen = _choose_separator(column, set(stripped.values()), known, separator, notes)
    if separator == "auto" and chosen is None:
        _suggest_separator(column, set(stripped.values()), notes)
    whole: set[str] = set()
    for cell, text in stripped.items():
        sets[cell] = [text] if chosen is None else [part for part in _split(text, chosen) if part]
        if chosen is None or len(sets[cell]) == 1:
            whole.add(cell)
    if separator == "auto" and chosen is not None and len(stripped) == len(plain) and plain:
        _refuse_vectors([sets[cell] for cell in plain], column)
    labels = {label for parts in sets.values() for label in parts}
    # Lists are compared by their parts, single labels as written, outer blanks included.
    parts = {label for cell in sets if cell not in whole for label in sets[cell]}
    note_variants(parts | whole, notes)
    if symbols := sorted(label for label in labels - known if label.isascii() and not any(map(str.isalnum, label))):
        notes.append(f"{', '.join(map(repr, symbols[:5]))} in {column!r} are read as labels, not as missing values")
    if not labels <= known:
        _refuse_numbers(column, labels)
        images = sum(counts[cell] for cell in counts if cell not in missing)
        if images >= MIN_IMAGES and len(labels) > images / 2:
            raise CellError(
                f"column {column!r} holds {counted(len(labels), 'different label')} for "
                f"{counted(images, 'image')}, like remarks; name the "
                "column of labels by data.columns.labels"
            )
    label_set = {cell: frozenset(parts) for cell, parts in sets.items()}
    return [label_set[cell] for cell in cells]


def _split(text: str, separator: str) -> list[str]:
    if separator == " ":
        return text.split()
    return [part.strip() for part in text.split(separator)]


def _literal(cell: str, column: str) -> list[str] | None:
    """The labels of a cell that is a list in Python, JSON or NumPy notation; None for any other cell."""
    if not (cell[:1] + cell[-1:] in ("[]", "()", "{}") and len(cell) > 1):
        return None
    # NumPy omits the commas, and Python would concatenate ['a' 'b'] into one string.
    by_numpy = "," not in cell and "{" not in cell and len(cell.split()) > 1 and cell[0] == "["
    value: Any = None
    for parse in (json.loads, _numpy_list if by_numpy else _python_list):
        try:
            value = parse(cell)
            break
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
    if (nested := nested_labels(value)) is not None:
        return [label.strip() for label in nested]
    if isinstance(value, dict) or (isinstance(value, list | tuple | set) and any(map(_nested, value))):
        raise CellError(f"column {column!r} holds nested values such as {cell[:60]!r}; give flat lists of labels")
    if not isinstance(value, list | tuple | set):
        return None
    return [str(part).strip() for part in value if part is not None and part == part]


def _numpy_list(cell: str) -> list[str]:
    parts = _PARTS.findall(cell[1:-1])
    return [str(ast.literal_eval(part)) if part[0] in "'\"" else part for part in parts]


def _python_list(cell: str) -> Any:
    # pandas writes a bare nan, which Python cannot parse.
    return ast.literal_eval(re.sub(r"\bnan\b", "None", cell))


def _nested(value: Any) -> bool:
    return isinstance(value, dict | list | tuple | set)


def _refuse_vectors(lists: list[list[str]], column: str) -> None:
    """Lists of equal length that hold 0 and 1, or decimal numbers, are vectors, not labels."""
    lengths = {len(one) for one in lists if one}
    if len(lengths) == 1 and max(lengths) > 1:
        binary = all(part.lower() in BINARY for one in lists for part in one)
        if binary or any(_decimal(part) for one in lists for part in one):
            raise CellError(
                f"column {column!r} holds vectors such as [{', '.join(lists[0][:5])}]; give the names of the labels, "
                "or a 0/1 column for each"
            )


AMBIGUOUS_SEPARATORS = "+/&"
"""May separate labels, but are common in names, too; so they are suggested and never chosen."""


def _suggest_separator(column: str, cells: set[str], notes: list[str]) -> None:
    """Adds a note if an ambiguous separator would split a cell into parts that are cells themselves."""
    for separator in AMBIGUOUS_SEPARATORS:
        joined = [
            cell for cell in cells if separator in cell and any(part in cells for part in _split(cell, separator))
        ]
        if joined:
            notes.append(
                f"{min(joined)!r} in {column!r} is read as one label, although parts of it are labels, too; "
                f"data.separator: {separator!r} would split it"
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
        f"column {column!r} holds decimal numbers such as {example}, not labels; name another by data.columns.labels"
    )


def note_variants(labels: Iterable[str], notes: list[str]) -> None:
    """Adds notes on labels that differ only in case, Unicode composition, invisible characters or outer blanks."""
    same: dict[str, set[str]] = defaultdict(set)
    for label in labels:
        visible = "".join(character for character in label if unicodedata.category(character) != "Cf")
        same[" ".join(unicodedata.normalize("NFKC", visible).casefold().split())].add(label)
    for variants in list(filter(lambda found: len(found) > 1, same.values()))[:5]:
        written = ", ".join(map(repr, sorted(variants)))
        notes.append(
            f"labels differ only in case or blanks: {written}; outer blanks are removed, case distinguishes labels"
        )


def _choose_separator(
    column: str, cells: set[str], known: frozenset[str], separator: str, notes: list[str]
) -> str | None:
    """The separator of labels in these distinct cells; None if each cell is one label."""
    if separator != "auto":
        return None if separator == "none" else separator
    if known and cells <= known:
        return None
    for candidate in [*LABEL_SEPARATORS, " "]:
        parts = {cell: [part for part in _split(cell, candidate) if part] for cell in cells if candidate in cell}
        if not parts:
            continue
        shown = "blanks" if candidate == " " else repr(candidate)
        if known and all(part in known for found in parts.values() for part in found):
            listed = True
        else:
            listed = _behave_like_lists(parts, cells, candidate)
        if listed:
            notes.append(f"labels in {column!r} are separated by {shown}")
            return candidate
        notes.append(
            f"{shown} in {column!r} {'are' if candidate == ' ' else 'is'} read as part of names such as "
            f"{min(parts)!r}, because the parts do not recur as in lists; data.separator would split them"
        )
        return None
    return None


def _behave_like_lists(parts: dict[str, list[str]], cells: set[str], separator: str) -> bool:
    """Whether the parts of the cells that hold `separator` are labels: they recur alone or in other combinations.

    Names contain blanks and commas, too, and names share words (polar bear, brown bear). For these two separators one
    recurring part proves little. Either the parts make no more labels than the cells did, or at least half of the cells
    have a part that occurs alone elsewhere or in another position, or only parts that recur.
    """
    several = {cell: found for cell, found in parts.items() if len(found) > 1}
    if not several:
        return True
    if all(re.fullmatch(r"-?\d+", part) for found in parts.values() for part in found):
        # 0,05 has a decimal comma.
        return not any(re.fullmatch(r"0\d+", part) for found in parts.values() for part in found[1:])
    alone = (cells - parts.keys()) | {found[0] for found in parts.values() if len(found) == 1}
    occurrences = Counter(part for found in several.values() for part in set(found))

    def recurs(part: str) -> bool:
        return part in alone or occurrences[part] > 1

    if separator == "|":
        return True  # names hold no bars
    if not any(recurs(part) for found in several.values() for part in found):
        return False
    if separator == ";":
        return True
    repeated = sum(len(set(found)) < len(found) for found in several.values())
    if repeated > len(several) / 10:
        return False
    vocabulary = {part for found in several.values() for part in found} | alone
    if len(vocabulary) <= len(cells):
        return True
    positions: dict[str, set[str]] = defaultdict(set)
    for found in several.values():
        for i, part in enumerate(found):
            positions[part].add("first" if i == 0 else "last" if i == len(found) - 1 else f"middle {i} {found[0]}")
    like_lists = sum(
        all(map(recurs, found)) or any(part in alone or len(positions[part]) > 1 for part in found)
        for found in several.values()
    )
    return like_lists >= len(several) / 2
