"""What runs trials: the search proposes and judges, a backend trains."""

from __future__ import annotations

from typing import Protocol

from thaw.search.engine.interruption import StopRequest
from thaw.search.engine.state import SearchState


class Backend(Protocol):
    """Runs what a search proposes. ``search/backends`` has the implementations."""

    def run(self, state: SearchState, slots: int, stop: StopRequest) -> None:
        """Run assignments until nothing is left.

        A backend asks ``state.propose()`` whenever a slot is free, hands every report to ``state.report()``, and frees
        the slot where that says so. A trial's exception goes to ``state.fail()``, a lost worker to ``state.lose()``.
        Only the state writes the event log.

        Args:
            state: the search.
            slots: number of concurrent trials.
            stop: must be checked at least once per epoch.

        Raises:
            SearchStopped: `stop` requested it; running trials are left as they are, interrupted.
            LogUnwritable: an event could not be written.
        """
