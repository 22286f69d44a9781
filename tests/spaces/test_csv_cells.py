"""Cells are not run by a spreadsheet, and come back as they were."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thaw.spaces.csv_cells import guarded, unguarded


@given(st.text(alphabet="'=+-@\t\r.a1 "))
def test_every_text_comes_back(text: str) -> None:
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["=1+1", "+cmd|' /C calc'!A0", "-x.jpg", "@SUM(A1)", "\t=1", "\r=1", "'=1", "-1.jpg"])
def test_formulas_become_text(text: str) -> None:
    assert guarded(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "dog", "a=b", "'quoted'", "-0.5", "+1", "-1e-05", "3", "don't"])
def test_other_text_is_unchanged(text: str) -> None:
    assert guarded(text) == text
