"""Searched hyperparameters as axes: where a value stands, and what is written there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from thaw.analysis.plots.plot import NotEnough
from thaw.analysis.plots.trials import where_it_counts
from thaw.analysis.run_data import RunData
from thaw.spaces import Choice, Parameter, TrialConfig

EDGE = 0.05
"""A value this close to the end of its range, as a share of the range, lies at its boundary."""


@dataclass(frozen=True)
class Searched:
    """One hyperparameter that varies.

    Args:
        name: the hyperparameter.
        parameter: what the search file allows.
        values: of each trial; missing where it does not count.
    """

    name: str
    parameter: Parameter
    values: pd.Series

    @property
    def log(self) -> bool:
        return not isinstance(self.parameter, Choice) and self.parameter.log

    def place(self, value: Any) -> float:
        """Where a value stands between the ends of its range, 0 to 1; categories in the order of the search file."""
        if isinstance(self.parameter, Choice):
            last = len(self.parameter.values) - 1
            return self.parameter.values.index(value) / last if last else 0.5
        low, high = self.parameter.low, self.parameter.high
        if self.parameter.log:
            return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
        return (value - low) / (high - low)

    def places(self) -> np.ndarray:
        """Of all trials; not a number where it does not count."""
        return np.array([math.nan if pd.isna(value) else self.place(value) for value in self.values], dtype=float)

    def boundary(self, value: Any) -> str:
        """``lower`` or ``upper`` where a value lies at an end of its range that could be moved further out, else empty.

        Freeze depth 0 or dropout 0 are ends of what there is, not of what was searched.
        """
        if isinstance(self.parameter, Choice) or pd.isna(value):
            return ""
        place = self.place(value)
        if place <= EDGE and self._can_go_below():
            return "lower"
        return "upper" if place >= 1 - EDGE and self._can_go_above() else ""

    def _can_go_below(self) -> bool:
        return all(getattr(rule, "ge", -math.inf) < self.parameter.low for rule in self._rules())  # type: ignore[union-attr]

    def _can_go_above(self) -> bool:
        return all(getattr(rule, "le", math.inf) > self.parameter.high for rule in self._rules())  # type: ignore[union-attr]

    def _rules(self) -> list[Any]:
        return TrialConfig.model_fields[self.name].metadata


def searched(run: RunData, trials: pd.DataFrame) -> list[Searched]:
    """The searched hyperparameters of which `trials` hold at least two values, in the order of the search file.

    Raises:
        NotEnough: there are none.
    """
    columns = [
        Searched(name, parameter, where_it_counts(run, trials, name))
        for name, parameter in run.space.parameters.items()
    ]
    columns = [column for column in columns if column.values.nunique() > 1]
    if not columns:
        raise NotEnough("no hyperparameter has two values among the finished trials")
    return columns
