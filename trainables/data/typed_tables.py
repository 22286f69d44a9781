"""Tables in JSON and YAML: lists of rows, maps, and the exports of annotation programs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.exports import VIA_IMAGES, ExportError, export_columns
from thaw.trainables.data.headings import LABEL_HEADINGS, USUAL_HEADINGS
from thaw.trainables.data.label_maps import SHAPES, map_columns, rows_within, unique_keys
from thaw.trainables.data.records import json_records, record_columns
from thaw.trainables.data.yaml_labels import yaml_content

YAML = (".yaml", ".yml")
JSON_LINES = (".jsonl", ".ndjson")
"""Suffixes of files whose content alone does not tell what they are."""


def is_json_lines(text: str, path: Path) -> bool:
    """Whether each line of a text is a JSON object; one line alone may be a whole file, unless the suffix tells."""
    first, _, more = text.strip().partition("\n")
    single = not more.strip() and path.suffix.lower() not in JSON_LINES
    return first.startswith("{") and first.rstrip().endswith("}") and not single


Columns = dict[str, Sequence[str]]
"""Heading → cells."""


def typed_columns(text: str, path: Path, key: str, is_file: Callable[[str], bool]) -> tuple[Columns, list[str]] | None:
    """The columns of a table in JSON or YAML, with notes; None for any other text.

    Args:
        key, is_file: as for :func:`~thaw.trainables.data.tables.read_table`.

    Raises:
        ConfigError: it is not JSON or YAML, or neither rows, nor a map, nor the export of a known program; or a heading
            is no text.
    """
    found = _columns(text, path, key, is_file)
    for name in found[0] if found else ():
        try:
            name.encode()
        except UnicodeEncodeError as error:
            message = f"a heading must be valid text, got {name!r} ({error.reason}); correct it"
            raise ConfigError(f"{path}: {message}", key=key) from None
    return found


def _columns(text: str, path: Path, key: str, is_file: Callable[[str], bool]) -> tuple[Columns, list[str]] | None:
    content: Any
    if path.suffix.lower() in YAML:
        content = yaml_content(text, path, key)
    elif is_json_lines(text, path) or re.match(r"\s*\[\s*\{", text):
        content = json_records(text, path, key)
    elif text.lstrip().startswith("{"):
        try:
            content = json.loads(text, object_pairs_hook=unique_keys)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ConfigError(f"{path}: is not JSON ({error}); repair it", key=key) from error
        except ValueError as error:  # of `unique_keys`
            raise ConfigError(f"{path}: {error}", key=key) from None
        content = content.get(VIA_IMAGES, content)
    else:
        return None
    notes: list[str] = []
    if isinstance(content, dict) and (inner := rows_within(content, frozenset(LABEL_HEADINGS))):
        content = content[inner]
        notes.append(f"rows are those of {inner!r}")
    records = list(content.values()) if isinstance(content, dict) else content
    if isinstance(records, list) and records and all(isinstance(row, dict) for row in records):
        try:
            export = export_columns(records)
        except ExportError as error:
            raise ConfigError(f"{path}: {error}", key=key) from None
        if export is not None:
            return export[0], [f"export of {export[1]}"]
        if isinstance(content, list):
            return record_columns(records), notes
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {SHAPES}; got {type(content).__name__}", key=key)
    return map_columns(content, path, key, is_file, USUAL_HEADINGS), notes
