"""What came out of a run. Imports neither torch nor Ray."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from analysis.run_folder import RunFolder
from analysis.tables import TrialRecord, best_record, history_table, trial_records, trials_table

__all__ = ["Run", "RunFolder", "load_run"]


@dataclass(frozen=True)
class Run:
    """A finished, interrupted or still running search, read from its folder."""

    folder: RunFolder

    @cached_property
    def metric(self) -> str:
        """The column that the search optimises, such as ``val_map``."""
        return self.folder.settings()["search"]["metric"]

    @cached_property
    def records(self) -> dict[int, TrialRecord]:
        return trial_records(self.folder.events())

    @cached_property
    def trials(self) -> pd.DataFrame:
        """One row a trial; see :func:`analysis.tables.trials_table`."""
        return trials_table(self.records.values(), self.metric)

    @cached_property
    def history(self) -> pd.DataFrame:
        """One row a trial and epoch; see :func:`analysis.tables.history_table`."""
        return history_table(self.records.values())

    @property
    def best(self) -> TrialRecord | None:
        """The best finished trial."""
        return best_record(self.records.values(), self.metric)


def load_run(path: str | Path) -> Run:
    """Read a run folder.

    Raises:
        ConfigError: it is none.
    """
    return Run(RunFolder(Path(path)).require())
