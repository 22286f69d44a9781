"""Cells of CSV files that no spreadsheet takes for a formula, and the way back.

A cell that begins with ``=``, ``+``, ``-`` or ``@`` is run by spreadsheets, and names of files and labels may come from
anybody. So the CSV files that Thaw writes put an apostrophe before such text, which spreadsheets read as "this is
text". Thaw's readers take it away again.
"""

from __future__ import annotations

import re

_RUN = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


def guarded(text: str) -> str:
    """`text` as a cell that is not run; numbers stay as they are.

    Example:
        >>> guarded("=SUM(A1).jpg"), guarded("-0.5"), guarded("dog")
        ("'=SUM(A1).jpg", '-0.5', 'dog')
    """
    return f"'{text}" if _RUN.match(text) and not _NUMBER.fullmatch(text) else text


def unguarded(cell: str) -> str:
    """The text that :func:`guarded` was given."""
    return cell[1:] if cell.startswith("'") and _RUN.match(cell) else cell
