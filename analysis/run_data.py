"""RunData: a search as read from its run folder. :class:`thaw.analysis.run.Run` adds the plots drawn from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, wraps
from typing import Any, TypeVar

import pandas as pd

from thaw.analysis.clock import Clock
from thaw.analysis.cost import cost_table
from thaw.analysis.objectives import pareto_front
from thaw.analysis.records import TrialRecord, apply_event, best_record
from thaw.analysis.run_folder import RunFolder
from thaw.analysis.tables import history_table, trials_table
from thaw.spaces import ConfigError, SearchSpace, pretrained

Result = TypeVar("Result")


def once(compute: Callable[[RunData], Result]) -> Callable[[RunData], Result]:
    """Compute a function of a run once per run object, because several parts of a report show its result."""

    @wraps(compute)
    def computed(run: RunData) -> Result:
        known = run.__dict__.setdefault("_once", {})
        if compute not in known:
            known[compute] = compute(run)
        result: Result = known[compute]
        return result

    return computed


@dataclass(frozen=True)
class RunData:
    """A finished, interrupted or still running search, read from its folder.

    Files are read when needed; a damaged one raises ConfigError.
    """

    folder: RunFolder

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The resolved search file."""
        return self.folder.settings()

    @cached_property
    def provenance(self) -> dict[str, Any]:
        return self.folder.provenance()

    @cached_property
    def metric(self) -> str:
        """The column that the search optimises, such as ``val_map``."""
        return self.settings["search"]["metric"]

    @cached_property
    def objectives(self) -> tuple[str, ...]:
        """The metric, followed by the costs that are objectives."""
        return (self.metric, *self.settings["search"].get("objectives", ())[1:])

    @cached_property
    def space(self) -> SearchSpace:
        """The search space."""
        weights = self.settings["weights"]
        try:
            return SearchSpace.parse(
                self.settings["space"],
                self.settings["training"],
                lambda architecture: pretrained(architecture, weights),
            )
        except ConfigError as error:
            raise error.within(file=self.folder.search_file) from None
        except OverflowError as error:
            raise ConfigError(f"damaged: {error}", "space", self.folder.search_file) from None

    @cached_property
    def _replayed(self) -> tuple[dict[int, TrialRecord], Clock, list[dict[str, Any]]]:
        """All from one pass: the events of a large run take seconds to read."""
        records: dict[int, TrialRecord] = {}
        clock = Clock()
        earlier: list[dict[str, Any]] = []
        for event in self.folder.events():
            apply_event(records, event)
            clock.see(event)
            if event["event"] == "earlier_trials":
                earlier = event["runs"]
        return records, clock, earlier

    @property
    def records(self) -> dict[int, TrialRecord]:
        """Trial number → its record."""
        return self._replayed[0]

    @property
    def clock(self) -> Clock:
        """The search time of events, in seconds."""
        return self._replayed[1]

    @property
    def earlier(self) -> list[dict[str, Any]]:
        """The runs that the search learnt from, as in its event ``earlier_trials``; empty without any."""
        return self._replayed[2]

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row per trial; see :func:`thaw.analysis.tables.trials_table`."""
        return trials_table(self.records.values(), self.metric)

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row per trial and epoch; see :func:`thaw.analysis.tables.history_table`."""
        return history_table(self.records.values())

    @cached_property
    def costs(self) -> pd.DataFrame:
        """One row per trial and epoch; see :func:`thaw.analysis.cost.cost_table`."""
        return cost_table(self.records.values())

    @cached_property
    def best(self) -> TrialRecord | None:
        """The best finished trial by the metric; None if no trial has finished."""
        return best_record(self.records.values(), self.metric)

    @cached_property
    def front(self) -> list[TrialRecord]:
        """The Pareto front of the finished trials, best by the metric first."""
        return pareto_front(self.records.values(), self.objectives)
