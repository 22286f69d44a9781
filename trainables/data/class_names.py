"""``data.classes``: the labels, their order and their names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.headings import heading
from thaw.trainables.data.label_files import Rows, json_of, text_of
from thaw.trainables.data.tables import split_rows

NAME_WORDS = ("name", "names", "label", "labels", "class", "classes", "title", "description", "category", "display")
ID_WORDS = ("id", "ids", "index", "idx", "number", "code", "key")
"""Words in the headings of a table of names and ids."""

WHOLE = r"\d+(\.0)?"
"""Pattern of an id that is a whole number; pandas writes 1.0 if the column has missing values."""


def read_class_names(path: Path, encoding: str = "auto", notes: list[str] | None = None) -> ClassNames:
    """The labels that a file lists: JSON ``{id: name}``, ``{name: id}`` or ``[name, …]``, a table of ids and names with
    or without a header, or a text file with one name per line.

    Raises:
        ConfigError: the file has none of these formats, or lists an id or a name twice.
    """
    if path.suffix.lower() == ".json":
        pairs, listed = _from_json(json_of(path, "classes", encoding, notes), path)
    else:
        pairs, listed = _from_text(text_of(path, "classes", encoding, notes), path)
    for position, what in ((0, "id"), (1, "name")):
        counts = Counter(pair[position] for pair in pairs)
        repeated = next((word for word, count in counts.items() if count > 1), None)
        if repeated is not None:
            message = f"lists the {what} {repeated!r} twice; give every label its own"
            raise ConfigError(f"{path}: {message}", key="classes")
    return ClassNames(dict(pairs), listed)


class ClassNames:
    """Labels in their listed order.

    Args:
        names: id → name; equal if the file lists only names.
        listed: the file lists only names, so their positions may be the ids.
    """

    def __init__(self, names: dict[str, str], listed: bool = False) -> None:
        self.names, self.listed = names, listed

    @property
    def known(self) -> frozenset[str]:
        """Ids and names."""
        return frozenset(self.names) | frozenset(self.names.values())

    def ids_for(self, used: Iterable[str], notes: list[str]) -> dict[str, str]:
        """Id → name for the labels of a label file. If it holds numbers, the ids are positions in the list of names.

        Positions count from 0, unless 0 is not used and the largest number equals the number of names.
        """
        used = set(used)
        if not self.listed or not used or not all(re.fullmatch(WHOLE, label) for label in used) or used & self.known:
            return self.names
        numbers = {int(float(label)) for label in used}
        first = 1 if 0 not in numbers and max(numbers) == len(self.names) else 0
        notes.append(f"numeric labels are read as positions in the list of names, counted from {first}")
        return {str(position): name for position, name in enumerate(self.names.values(), first)}


def named_labels(
    rows: Rows, listed: ClassNames | None, source: Path | None, notes: list[str]
) -> tuple[list[frozenset[str]], dict[str, str] | None]:
    """The label names of each row, and id → name if ids are listed.

    A label file may also use the names themselves.

    Args:
        rows: the content of the label file.
        listed: the content of ``data.classes``, if given.
        source: the file that lists the labels, for errors.
        notes: notes on what was guessed are appended.

    Raises:
        ConfigError: a label is not listed.
    """
    distinct = set(rows.labels)
    used = {label for one in distinct for label in one}
    names = listed.ids_for(used, notes) if listed else rows.classes
    if names is None:
        return rows.labels, None
    known = {name: name for name in names.values()} | names
    known = {f"{id}.0": name for id, name in names.items() if re.fullmatch(WHOLE, id)} | known
    unknown = sorted(used - known.keys())
    if unknown:
        message = f"label {unknown[0]!r} is not listed in {source}; add it there, or correct the label file"
        raise ConfigError(message, key="classes")
    translated = {one: frozenset(known[label] for label in one) for one in distinct}
    return [translated[one] for one in rows.labels], names


def _from_json(content: Any, path: Path) -> tuple[list[tuple[str, str]], bool]:
    if isinstance(content, list) and content and all(isinstance(one, dict) for one in content):
        if not all({"id", "name"} <= one.keys() for one in content):
            raise ConfigError(f"{path}: every class must have an id and a name; add what is missing", key="classes")
        return [(str(one["id"]), str(one["name"])) for one in content], False
    if isinstance(content, list):
        return [(str(name), str(name)) for name in content], True
    if isinstance(content, dict):
        # A Hugging Face model configuration also holds the inverse, label2id.
        content = content.get("id2label", content)
    nested = isinstance(content, dict) and any(isinstance(name, dict | list) for name in content.values())
    if nested or not isinstance(content, dict):
        kind = "nested values" if nested else type(content).__name__
        raise ConfigError(f"{path}: must be {{id: name}} or [name, …], got {kind}", key="classes")
    pairs = [(str(id), str(name)) for id, name in content.items()]
    if all(map(_whole, content.values())) and not all(map(_whole, content)):
        return [(id, name) for name, id in sorted(pairs, key=lambda pair: int(pair[1]))], False
    return pairs, False


def _whole(value: object) -> bool:
    return not isinstance(value, bool) and bool(re.fullmatch(r"-?\d+", str(value)))


def _from_text(text: str, path: Path) -> tuple[list[tuple[str, str]], bool]:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        raise ConfigError(f"{path}: holds no names; write one per line", key="classes")
    if path.suffix.lower() in (".yaml", ".yml") or any(line.endswith("{") or line == "}" for line in lines):
        raise ConfigError(f"{path}: is not a list of names; write one per line, or a JSON list", key="classes")
    # n and eight digits are ImageNet's ids.
    numbered = [re.fullmatch(r"(\d+|n\d{8})\s*[:=\s]\s*(.+)", line) for line in lines]
    if all(numbered):
        return [(match[1], match[2]) for match in numbered if match], False
    try:
        rows = [] if path.suffix.lower() in (".txt", ".names", ".lst") and "\t" not in text else _rows(text, path)
    except ConfigError:
        rows = []
    if not rows:
        first = 1 if heading(lines[0]) in (*NAME_WORDS, "class_name", "label_name") and len(lines) > 1 else 0
        return [(line.strip("\"'"), line.strip("\"'")) for line in lines[first:]], True
    return _pairs(rows), False


def _rows(text: str, path: Path) -> list[list[str]]:
    rows, notes = split_rows(text, path, "classes", separators="\t;,")
    return [] if notes else [[cell.strip() for cell in row] for row in rows]


def _pairs(rows: Sequence[Sequence[str]]) -> list[tuple[str, str]]:
    """(id, name) of each row. Headings decide; without any, numbers are the ids, or else the first column is."""
    columns = range(len(rows[0]))
    words = [set(heading(cell).split("_")) for cell in rows[0]]
    numbers = [i for i in columns if all(_whole(row[i]) for row in rows[1:] or rows)]
    named = [i for i in columns if words[i] & set(NAME_WORDS) and not words[i] & set(ID_WORDS)]
    keyed = [i for i in columns if words[i] & set(ID_WORDS)]
    headed = any(not _whole(rows[0][i]) for i in numbers) or bool(named and (keyed or named == [columns[-1]]))
    if not headed:
        named, keyed = [], []
    id = next(iter([i for i in numbers if i in keyed] + keyed + numbers), 0)
    name = next((i for i in [*named, *columns] if i != id), 0)
    return [(row[id], row[name]) for row in rows[headed:]]
