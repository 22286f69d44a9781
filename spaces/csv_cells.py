"""Escaping of CSV cells that spreadsheets would run as formulas.

Spreadsheets run a cell that begins with ``=``, ``+``, ``-`` or ``@``, and names of files and labels may come from
untrusted sources. So the CSV files that Thaw writes put an apostrophe before such text, which marks it as text for
spreadsheets. Thaw's readers remove it.
"""

from __future__ import annotations

import re

_RUN = re.compile(r"'*[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")


def guarded(text: str) -> str:
    """`text` as a cell that spreadsheets do not run; numbers are unchanged.

    Example:
        >>> guarded("=SUM(A1).jpg"), guarded("-0.5"), guarded("dog")
        ("'=SUM(A1).jpg", '-0.5', 'dog')
    """
    return f"'{text}" if _RUN.match(text) and not _NUMBER.fullmatch(text) else text


def unguarded(cell: str) -> str:
    """The original text of a cell that :func:`guarded` returned."""
    return cell[1:] if cell.startswith("'") and _RUN.match(cell) else cell
