"""Run: a search that was made, read from its folder alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from thaw.analysis.clock import Clock
from thaw.analysis.run_folder import RunFolder
from thaw.analysis.tables import TrialRecord, apply_event, best_record, history_table, trials_table
from thaw.spaces import ConfigError, SearchSpace, did_you_mean, pretrained

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Run:
    """A finished, interrupted or still running search, read from its folder."""

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
    def space(self) -> SearchSpace:
        """What was searched."""
        weights = self.settings["weights"]
        return SearchSpace.parse(
            self.settings["space"], self.settings["training"], lambda architecture: pretrained(architecture, weights)
        )

    @cached_property
    def _replayed(self) -> tuple[dict[int, TrialRecord], Clock]:
        """Both from one pass: the events of a large run take seconds to read."""
        records: dict[int, TrialRecord] = {}
        clock = Clock()
        for event in self.folder.events():
            apply_event(records, event)
            clock.see(event)
        return records, clock

    @property
    def records(self) -> dict[int, TrialRecord]:
        """Number → what the events say of that trial."""
        return self._replayed[0]

    @property
    def clock(self) -> Clock:
        """When something happened, in seconds of searching."""
        return self._replayed[1]

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial; see :func:`thaw.analysis.tables.trials_table`."""
        return trials_table(self.records.values(), self.metric)

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row a trial and epoch; see :func:`thaw.analysis.tables.history_table`."""
        return history_table(self.records.values())

    @cached_property
    def best(self) -> TrialRecord | None:
        """The best finished trial."""
        return best_record(self.records.values(), self.metric)

    def plot(self, name: str, theme: str = "light", **options: Any) -> Figure:
        """A picture of this run; a notebook shows it.

        Args:
            name: a key of :data:`thaw.analysis.plots.PLOTS`, such as ``freeze_depth``.
            theme: ``light`` or ``dark``.
            options: what the plot's compute half takes, such as ``trial=3``.

        Raises:
            ConfigError: there is no such plot, theme or trial.
            NotEnough: the run does not hold what the plot needs; the text says what is missing.
        """
        # Here, because drawing libraries take half a second to load.
        from thaw.analysis.plots import PLOTS, THEMES

        for kind, word, known in (("plot", name, tuple(PLOTS)), ("theme", theme, tuple(THEMES))):
            if word not in known:
                raise ConfigError(f"unknown {kind} {word!r}{did_you_mean(word, known)}")
        plot = PLOTS[name]
        return plot.figure(plot.compute(self, **options), THEMES[theme])


def load_run(path: str | Path) -> Run:
    """Read a run folder.

    Raises:
        ConfigError: it is none.
    """
    return Run(RunFolder(Path(path)).require())
