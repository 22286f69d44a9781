"""Reads files of typed values into columns of text: JSON lines, JSON lists of objects, and Parquet."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.columns import MAX_VALUES, EncodedColumn

PARQUET = b"PAR1"
"""The first bytes of a Parquet file."""


def json_records(text: str, path: Path, key: str) -> list[dict[str, Any]]:
    """The objects of JSON lines, or of a JSON list.

    Raises:
        ConfigError: the text is not JSON, or an entry is not an object.
    """

    def records() -> Iterator[tuple[int, Any]]:
        if text.lstrip().startswith("["):
            yield from enumerate(json.loads(text), 1)
            return
        for number, line in enumerate(text.splitlines(), 1):
            if line.strip():
                yield number, json.loads(line)

    rows: list[dict[str, Any]] = []
    number = 0
    try:
        for number, record in records():
            if not isinstance(record, dict):
                raise ConfigError(
                    f"{path}: row {number} must be an object such as "
                    f'{{"file_name": "a.jpg", "label": "cat"}}, got {type(record).__name__}; correct it',
                    key=key,
                )
            rows.append(record)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: line {number + 1} is not JSON ({error}); repair it", key=key) from error
    return rows


def record_columns(rows: Sequence[dict[str, Any]]) -> dict[str, Sequence[str]]:
    """Key → cells of objects, one row per object, keys in order of appearance."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    return {str(name): [cell_of(_path_of(row.get(name))) for row in rows] for name in names}


def parquet_columns(path: Path, key: str) -> dict[str, Sequence[str]]:
    """Name → cells of a Parquet file.

    Raises:
        ConfigError: the file cannot be read, or holds no rows.
    """
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
        columns = {name: _cells(table[name]) for name in table.column_names}
    # Text that is not UTF-8, dates out of range, and two columns of one name.
    except (pyarrow.ArrowException, OSError, ValueError, OverflowError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{path}: is not a readable Parquet file ({reason}); repair it", key=key) from error
    if not len(table):
        raise ConfigError(f"{path}: holds no rows; give one row per image", key=key)
    return columns


def _cells(column: Any) -> Sequence[str]:
    """The cells of a Parquet column. Each distinct value is converted once, if the type allows to find them."""
    import pyarrow

    if pyarrow.types.is_struct(column.type):
        return [cell_of(_path_of(value)) for value in column.to_pylist()]
    try:
        encoded = column.combine_chunks().dictionary_encode()
    except pyarrow.ArrowException:  # lists and the like
        return [cell_of(value) for value in column.to_pylist()]
    values = [cell_of(value) for value in encoded.dictionary.to_pylist()]
    if column.null_count:
        values.append("")
    codes = encoded.indices.fill_null(len(values) - 1).to_numpy(zero_copy_only=False)
    if len(values) <= MAX_VALUES:
        return EncodedColumn(codes.astype(np.uint8), values)
    return [values[code] for code in codes.tolist()]


def _path_of(value: Any) -> Any:
    """The path in an image feature of Hugging Face (bytes and path); any other value unchanged."""
    return value["path"] if isinstance(value, dict) and isinstance(value.get("path"), str) else value


def cell_of(value: Any) -> str:
    """A value as the text of a cell: empty for null, JSON for lists and objects."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
