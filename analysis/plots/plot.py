"""A plot: a compute function that reads the run, a draw function that only draws, and the texts that go with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.theme import LIGHT, Theme

Data = TypeVar("Data")


class NotEnough(Exception):
    """The run lacks data that a plot needs; the message says what is missing, as a sentence for the user."""


@dataclass(frozen=True)
class Plot(Generic[Data]):
    """One plot of a run.

    Args:
        title: a few words.
        question: the reader's question that it answers.
        group: heading under which a report shows it, one of :data:`thaw.analysis.plots.GROUPS`.
        compute: run and options → everything that is drawn, without drawing; raises NotEnough if the run lacks the
            data, and ConfigError if an option is wrong.
        draw: that data and a theme → the figure.
        finding: one sentence on what the plot shows for this run; also its alternative text.
        table: the numbers behind the plot.
        interactive: the same as a plotly figure (a plain dict), where interaction helps.
    """

    title: str
    question: str
    group: str
    compute: Callable[..., Data]
    draw: Callable[[Data, Theme], Figure]
    finding: Callable[[Data], str]
    table: Callable[[Data], pd.DataFrame]
    interactive: Callable[[Data], dict[str, Any]] | None = None

    def figure(self, data: Data, theme: Theme = LIGHT) -> Figure:
        """The figure in a theme's colours, with the plot's title unless the draw function set a better one."""
        with theme.applied():
            figure = self.draw(data, theme)
        self.add_title(figure, theme)
        return figure

    def add_title(self, figure: Figure, theme: Theme = LIGHT) -> None:
        """Give a figure the plot's title, unless it has a better one."""
        if not figure.get_suptitle():
            with theme.applied():
                theme.title(figure, self.title)
