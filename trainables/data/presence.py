"""Marks and words by which the columns of a table say whether an image has their label: x and blank, ja and nein.

0 and 1, true and false, yes and no are in ``cells.BINARY``. Those may be mixed; of these, a table must use one pair.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from thaw.trainables.data.cells import CellError
from thaw.trainables.data.columns import distinct
from thaw.trainables.data.tables import Table

MARKS = (
    *(("x", ""), ("✓", ""), ("✔", ""), ("✅", ""), ("☑", ""), ("☒", ""), ("*", ""), ("●", ""), ("•", "")),
    *(("x", "-"), ("✓", "-"), ("✔", "-"), ("+", "-"), ("✓", "✗"), ("✓", "✘"), ("✔", "✗"), ("✔", "✘"), ("✔", "✖")),
    *(("✅", "❌"), ("✅", "❎"), ("☑", "☐"), ("☒", "☐"), ("●", "○")),
)
"""(present, absent). Not ``x`` and ``o``: which of them means yes depends on the country."""

WORDS = (
    *(("ja", "nein"), ("ja", "nee"), ("ja", "nej"), ("ja", "nei"), ("j", "n"), ("oui", "non"), ("sí", "no")),
    *(("sì", "no"), ("si", "no"), ("sim", "não"), ("sim", "nao"), ("tak", "nie"), ("ano", "ne"), ("да", "нет")),
    *(("так", "ні"), ("是", "否"), ("有", "无"), ("はい", "いいえ"), ("예", "아니요")),
    *(("wahr", "falsch"), ("vrai", "faux"), ("verdadero", "falso"), ("verdadeiro", "falso"), ("vero", "falso")),
    *(("waar", "onwaar"), ("present", "absent"), ("positive", "negative")),
)
"""(present, absent), in lower case."""

PAIRS = MARKS + WORDS

Pair = tuple[str, str]


def presence_columns(names: Sequence[str], table: Table, declared: bool = False) -> tuple[Pair | None, list[str]]:
    """The pair by which columns say whether an image has their label, and these columns; (None, []) without any.

    Args:
        names: the columns that may be labels. A blank one is none, as it may be for remarks.
        declared: all of `names` are labels.

    Raises:
        CellError: two columns use different pairs, or a cell of such a column is something else.
    """
    written = {name: _written(table.columns[name]) for name in names}
    own = {name: pair for name in names if (pair := _pair(written[name]))}
    if not own:
        return None, []
    seen = {word for name in own for word in written[name].values()}
    if len(seen) == 1:  # the same in every row says nothing
        return None, []
    pair = next((pair for pair in PAIRS if pair[0] in seen <= {*pair}), None)
    if pair is None:
        first, *others = own
        other = next((name for name in others if not {*written[name].values()} <= {*own[first]}), others[0])
        raise CellError(
            f"columns {first!r} ({shown(own[first])}) and {other!r} ({shown(own[other])}) say in different ways "
            "whether an image has a label; write it in one way everywhere, such as 0 and 1"
        )
    for name in names:
        cells, words = table.columns[name], written[name]
        wrong = {cell for cell, word in words.items() if word not in pair}
        suspect = pair[0] in words.values() and 2 * sum(cell not in wrong for cell in cells) > len(cells)
        if wrong and (declared or suspect):
            row = next(row for row, cell in enumerate(cells) if cell in wrong)
            raise CellError(
                f"column {name!r} must be {shown(pair)}, got {cells[row]!r} in row {table.line(row)}; correct the "
                "cell, or name the columns by data.columns.labels"
            )
    never = {pair[1]} if pair in WORDS else set()
    return pair, [name for name in names if declared or name in own or {*written[name].values()} == never]


def only_absent(cells: Sequence[str]) -> bool:
    """Whether a column holds one word that means absent, such as ``no``; which pair it is from, others show."""
    seen = {*_written(cells).values()}
    return len(seen) == 1 and seen <= {absent for _, absent in WORDS}


def refuse_marks(names: Sequence[str], table: Table, beside: str) -> None:
    """Refuses columns of marks beside 0/1 columns: read without them, images would lose labels.

    Columns of words such as ``ja`` and ``nein`` may be facts about the image, so they are only left out.

    Raises:
        CellError: there is one.
    """
    for name in names:
        written = _written(table.columns[name])
        pair = _pair(written)
        if pair in MARKS and pair[1] in written.values():
            raise CellError(
                f"column {name!r} holds {shown(pair)} beside 0/1 columns such as {beside!r}; write labels in one way "
                "everywhere, or name the columns of labels by data.columns.labels"
            )


def absent_word(cells: Sequence[str]) -> str | None:
    """The cell that means absent in a column that only says whether something is present; None for other columns."""
    written = _written(cells)
    pair = _pair(written)
    return next((cell for cell, word in written.items() if pair and word == pair[1]), None)


def as_digits(cells: Sequence[str], pair: Pair) -> list[str]:
    """The column with 1 for present and 0 for absent; other cells as they are."""
    digits = {pair[0]: "1", pair[1]: "0"}
    words = {cell: digits.get(word, cell) for cell, word in _written(cells).items()}
    return [words[cell] for cell in cells]


def shown(pair: Pair) -> str:
    """A pair for messages."""
    return f"{pair[0]!r} or {repr(pair[1]) if pair[1] else 'blank'}"


def _pair(written: Mapping[str, str]) -> Pair | None:
    """The pair that a column uses; it must hold the word for present and nothing else."""
    seen = {*written.values()}
    return next((pair for pair in PAIRS if pair[0] in seen <= {*pair}), None)


def _written(cells: Sequence[str]) -> dict[str, str]:
    """Distinct cell → the word in it, in lower case, without the character that asks for a coloured symbol."""
    return {cell: unicodedata.normalize("NFC", cell.strip().lower()).replace("\ufe0f", "") for cell in distinct(cells)}
