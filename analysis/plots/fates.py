"""How a trial ended, in wording and colours that are the same in every plot."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from matplotlib.lines import Line2D

from thaw.analysis.plots.theme import Theme


@dataclass(frozen=True)
class Fate:
    """One row of the table.

    Args:
        words: the text in legends.
        colour: index into the theme's cycle; None for the muted colour.
        marker: matplotlib marker, so that colour is never the only difference.
    """

    words: str
    colour: int | None
    marker: str

    def size(self, diameter: float) -> float:
        """Marker size, in points, for a sign of that diameter: matplotlib draws a dot at half its size."""
        return 1.6 * diameter if self.marker == "." else diameter

    def ink(self, theme: Theme) -> str:
        return theme.muted if self.colour is None else theme.cycle[self.colour]


FATES: dict[str, Fate] = {
    "completed": Fate("trained to the end", 0, "o"),
    "early_stopped": Fate("stopped by patience", 2, "s"),
    "pruned": Fate("pruned", None, "."),
    "waiting": Fate("waiting at a rung", 4, "P"),
    "running": Fate("running", 5, ">"),
    "interrupted": Fate("interrupted", 3, "D"),
    "failed": Fate("failed", 1, "X"),
}
"""Trial status → how it is drawn, in legend order."""


def fate_handles(statuses: Collection[str], theme: Theme) -> list[Line2D]:
    """Legend entries for those statuses that occur."""
    shown = (fate for status, fate in FATES.items() if status in statuses)
    return [
        Line2D([], [], color=f.ink(theme), marker=f.marker, markersize=f.size(5), linewidth=1, label=f.words)
        for f in shown
    ]
