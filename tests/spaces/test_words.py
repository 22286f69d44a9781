"""Counts in messages."""

from __future__ import annotations

from thaw.spaces.words import counted


def test_counts_have_a_singular() -> None:
    assert [counted(n, "row repeats", "rows repeat") for n in (0, 1, 2)] == [
        "0 rows repeat",
        "1 row repeats",
        "2 rows repeat",
    ]
    assert counted(5000, "trial") == "5,000 trials"
