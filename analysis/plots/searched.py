"""Searched hyperparameters as axes: the position of a value and its label."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from thaw.analysis.plots.plot import NotEnough
from thaw.analysis.plots.trials import active_values
from thaw.analysis.run_data import RunData
from thaw.spaces import Choice, Parameter, TrialConfig

EDGE = 0.05
"""A value this close to the end of its range, as a share of the range, lies at its boundary."""


@dataclass(frozen=True)
class Searched:
    """One hyperparameter that varies.

    Args:
        name: its name.
        parameter: what the search file allows.
        values: the value in each trial; missing where it is inactive.
    """

    name: str
    parameter: Parameter
    values: pd.Series

    @property
    def log(self) -> bool:
        return not isinstance(self.parameter, Choice) and self.parameter.log

    def place(self, value: Any) -> float:
        """The position of a value within its range, 0 to 1; categories are in the order of the search file."""
        if isinstance(self.parameter, Choice):
            last = len(self.parameter.values) - 1
            return self.parameter.values.index(value) / last if last else 0.5
        low, high = self.parameter.low, self.parameter.high
        if self.parameter.log:
            return (math.log(value) - math.log(low)) / (math.log(high) - math.log(low))
        return (value - low) / (high - low)

    def places(self) -> np.ndarray:
        """The positions of all trials' values; NaN where the hyperparameter is inactive."""
        return np.array([math.nan if pd.isna(value) else self.place(value) for value in self.values], dtype=float)

    def boundary(self, value: Any) -> str:
        """``lower`` or ``upper`` if a value lies at an end of its range that could be moved further out, else empty.

        Freeze depth 0 and dropout 0 are limits of the hyperparameter itself, not of the searched range.
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
    """The searched hyperparameters with at least two values in `trials`, in the order of the search file.

    Raises:
        NotEnough: there are none.
    """
    columns = [
        Searched(name, parameter, active_values(run, trials, name)) for name, parameter in run.space.parameters.items()
    ]
    columns = [column for column in columns if column.values.nunique() > 1]
    if not columns:
        raise NotEnough("no hyperparameter has two values among the finished trials")
    return columns
