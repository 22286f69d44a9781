from __future__ import annotations

import pytest

from thaw.search.engine.observers import Observer, Observers


class Silent(Exception):
    """Fails when it is asked for its text."""

    def __str__(self) -> str:
        raise ValueError("no text")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError("disk full"), "disk full"),
        (AssertionError(), "AssertionError"),
        (Silent(), "<exception str() failed>"),
    ],
)
def test_an_observer_that_raises_is_dropped_with_one_warning(error: Exception, reason: str) -> None:
    class Raises(Observer):
        def open(self, records: object) -> None:
            raise error

        def close(self) -> None:
            pytest.fail("called after it was dropped")

    warnings: list[str] = []
    observers = Observers([Raises()], warnings.append)
    observers.open({})
    observers.close()
    assert warnings == [f"Raises is left out from now on: {reason}"]
