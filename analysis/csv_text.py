"""Tables as the text of a CSV file."""

from __future__ import annotations

from typing import Any

import pandas as pd
from pandas.api.types import is_numeric_dtype

from thaw.spaces.csv_cells import guarded


def csv_text(table: pd.DataFrame) -> str:
    """A table with its headings and without its index; a spreadsheet takes no cell for a formula."""
    return table.apply(_guarded_column).rename(columns=_guarded).to_csv(index=False)


def _guarded_column(column: pd.Series) -> pd.Series:
    # Numbers stay packed: as objects they would take up most of the tables' memory.
    return column if is_numeric_dtype(column) else column.map(_guarded)


def _guarded(cell: Any) -> Any:
    return guarded(cell) if isinstance(cell, str) else cell
