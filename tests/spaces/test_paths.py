"""Paths with ``~``."""

from __future__ import annotations

from pathlib import Path

import pytest

from thaw.spaces.paths import expanded


def test_a_tilde_is_a_home_folder_only_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert [str(expanded(text)) for text in ("~", "~/a", "b/~", Path("~/a"))] == [
        "/home/me",
        "/home/me/a",
        "b/~",
        "/home/me/a",
    ]
    assert [str(expanded(text)) for text in ("~$a.jpg", "~nobody-of-this-name/a")] == [
        "~$a.jpg",
        "~nobody-of-this-name/a",
    ]
