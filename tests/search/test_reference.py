"""docs/reference.md agrees with the code."""

from __future__ import annotations

from tests.conftest import ROOT
from thaw.search.reference import reference


def test_the_reference_is_up_to_date() -> None:
    written = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    assert written == reference(), "run `make reference` and commit docs/reference.md"
