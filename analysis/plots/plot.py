"""What a plot is: a compute half that reads the run, a draw half that only draws, and the words between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import pandas as pd
from matplotlib.figure import Figure

from thaw.analysis.plots.theme import LIGHT, Theme

Data = TypeVar("Data")


class NotEnough(Exception):
    """The run does not hold what a plot needs; the text says what is missing, as a sentence for the user."""


@dataclass(frozen=True)
class Plot(Generic[Data]):
    """One picture of a run.

    Args:
        title: a few words.
        question: what a reader wants to know when looking at it.
        group: heading under which a report shows it, one of :data:`thaw.analysis.plots.GROUPS`.
        compute: run and options → everything that is drawn, without drawing; raises NotEnough where the run does not
            hold what is needed, and ConfigError where an option is wrong.
        draw: that and a theme → the picture.
        finding: one sentence on what it shows for this run; also the text for those who cannot see the picture.
        table: the figures behind the picture.
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
        """The picture in a theme's colours, under its title unless the draw half found a better one."""
        with theme.applied():
            figure = self.draw(data, theme)
            if not figure.get_suptitle():
                theme.title(figure, self.title)
            return figure
