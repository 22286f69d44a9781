"""Colours and markers of architectures."""

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
    """Architectures in the order of a legend. The first six have colours of their own; the others share one."""

    names: tuple[str, ...]

    @staticmethod
    def of(architectures: Iterable[str]) -> Kinds:
        """From the architectures of trials, in that order, each once."""
        return Kinds(tuple(dict.fromkeys(architectures)))

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
        """The entries of a legend."""
        return self.names[: len(MARKERS)] + ((OTHERS,) if len(self.names) > len(MARKERS) else ())

    def handles(self, theme: Theme, line: bool = False) -> list[Line2D]:
        handles = []
        for name in self.shown:
            colour, marker = self.style(name, theme)
            handles.append(
                Line2D([], [], color=colour, marker=marker, ms=5, lw=1.5 if line else 0, label=shortened(name, 30))
            )
        return handles
