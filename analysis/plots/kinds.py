"""Colours and markers of architectures, the same in every plot of a run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from matplotlib.lines import Line2D

from thaw.analysis.plots.theme import Theme
from thaw.analysis.words import shortened

MARKERS = "os^DvP"
OTHERS = "other architectures"


@dataclass(frozen=True)
class Kinds:
    """The architectures with a colour of their own, the best ones; all others share one colour."""

    names: tuple[str, ...]

    @staticmethod
    def of(best_first: Iterable[str]) -> Kinds:
        """From the architectures of the trials, best trial first."""
        return Kinds(tuple(dict.fromkeys(best_first)))

    def name(self, architecture: str) -> str:
        return architecture if architecture in self.names[: len(MARKERS)] else OTHERS

    def style(self, architecture: str, theme: Theme) -> tuple[str, str]:
        """Colour and marker."""
        if self.name(architecture) == OTHERS:
            return theme.muted, "."
        place = self.names.index(architecture)
        return theme.cycle[place], MARKERS[place]

    @property
    def shown(self) -> tuple[str, ...]:
        """What a legend lists."""
        return self.names[: len(MARKERS)] + ((OTHERS,) if len(self.names) > len(MARKERS) else ())

    def handles(self, theme: Theme, line: bool = False) -> list[Line2D]:
        handles = []
        for name in self.shown:
            colour, marker = self.style(name, theme)
            handles.append(
                Line2D([], [], color=colour, marker=marker, ms=5, lw=1.5 if line else 0, label=shortened(name, 30))
            )
        return handles
