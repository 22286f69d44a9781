"""Tables as the text of a CSV file."""

from __future__ import annotations

from typing import Any

import pandas as pd

from thaw.spaces.csv_cells import guarded


def csv_text(table: pd.DataFrame) -> str:
    """A table with its headings and without its index; no cell is run by a spreadsheet."""
    return table.rename(columns=_guarded).map(_guarded).to_csv(index=False)


def _guarded(cell: Any) -> Any:
    return guarded(cell) if isinstance(cell, str) else cell
