"""The look of plots: sizes, and colours that colour-blind readers can distinguish, on light and dark backgrounds."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from textwrap import fill
from typing import Any

import matplotlib as mpl
import numpy as np
from cycler import cycler
from matplotlib.artist import Artist
from matplotlib.colors import Colormap, ListedColormap
from matplotlib.figure import Figure

WIDTH = 6.4
"""Width of a figure, in inches."""

NARROW = 3.5
"""Width of a figure for a phone, in inches: 336 CSS pixels."""

AXIS_TEXT = 8
"""Font size along an axis, in points."""

SMALL = 7.5
"""Font size within the data, the smallest of all, in points: 10 CSS pixels."""

CHARACTER = 0.07
"""Average width of a character, in inches."""


class NotebookFigure(Figure):
    """A figure that a notebook displays without pyplot."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png", dpi=110)
        return buffer.getvalue()


@dataclass(frozen=True)
class Theme:
    """The colours of one variant.

    Args:
        name: light, dark or both.
        background, text, muted, grid: colours of the background, of text, of secondary elements, of the grid lines.
        cycle: colours of categories, in order; distinct under every common colour blindness (a test simulates them).
        spread: the part of viridis, from 0 to 1, that contrasts with the background.
        width: of its figures, in inches.
    """

    name: str
    background: str
    text: str
    muted: str
    grid: str
    cycle: tuple[str, ...]
    spread: tuple[float, float]
    width: float = WIDTH

    def applied(self) -> AbstractContextManager[None]:
        """A context in which everything that matplotlib draws has this theme."""
        return mpl.rc_context(
            {
                "figure.facecolor": self.background,
                "savefig.facecolor": self.background,
                "axes.facecolor": self.background,
                "axes.edgecolor": self.muted,
                "axes.labelcolor": self.text,
                "axes.titlecolor": self.text,
                "axes.spines.top": False,
                "axes.spines.right": False,
                "axes.grid": True,
                "axes.axisbelow": True,
                "axes.titlesize": 9,
                "axes.titlelocation": "left",
                "axes.labelsize": 9,
                "axes.prop_cycle": cycler(color=self.cycle),
                "grid.color": self.grid,
                "grid.linewidth": 0.6,
                "text.color": self.text,
                # A label may hold a dollar sign.
                "text.parse_math": False,
                "xtick.color": self.text,
                "ytick.color": self.text,
                "xtick.labelsize": AXIS_TEXT,
                "ytick.labelsize": AXIS_TEXT,
                "font.size": 9,
                "font.family": "DejaVu Sans",
                "legend.frameon": False,
                "legend.fontsize": 8,
                "svg.fonttype": "path",
            }
        )

    @property
    def narrow(self) -> Theme:
        """The same for a phone."""
        return replace(self, width=NARROW)

    @property
    def is_narrow(self) -> bool:
        return self.width < WIDTH

    def figure(self, height: float, width: float | None = None) -> Figure:
        """An empty figure, sizes in inches; its parts are laid out without overlap."""
        return NotebookFigure(figsize=(width or self.width, height), dpi=110, layout="constrained")

    def columns(self, panels: int, most: int) -> int:
        """The number of panels side by side, at most `most`; in a narrow figure one."""
        return 1 if self.is_narrow else min(panels, most)

    def title(self, figure: Figure, text: str) -> None:
        figure.suptitle(text, x=0.01, ha="left", fontsize=10, fontweight="bold")

    def lines(self, text: str) -> str:
        """A text above the data, wrapped in a narrow figure."""
        return fill(text, int(self.width / CHARACTER) - 12) if self.is_narrow else text

    def legend(self, figure: Figure, handles: Sequence[Artist]) -> None:
        """A legend below the data, in as many columns as fit; labels wider than the figure are wrapped."""
        if not handles:
            return
        # A handle with its gaps is about 0.6 inches wide.
        longest = int((figure.get_figwidth() - 0.6) / CHARACTER)
        for handle in handles:
            handle.set_label(fill(str(handle.get_label()), longest))
        widths = [0.6 + CHARACTER * min(longest, len(str(handle.get_label()))) for handle in handles]
        one_row = sum(widths) <= figure.get_figwidth()
        columns = len(handles) if one_row else max(1, int(figure.get_figwidth() // max(widths)))
        figure.legend(handles=list(handles), loc="outside lower left", ncols=columns)

    @property
    def colours(self) -> Colormap:
        """Low to high values: viridis, without the end that would blend into the background."""
        return ListedColormap(mpl.colormaps["viridis"](np.linspace(*self.spread, 256)), "thaw")

    def shade(self, share: float) -> Any:
        """The colour (r, g, b, a) of a value between 0 (low) and 1 (high)."""
        return self.colours(float(share))


LIGHT = Theme(
    "light",
    background="#ffffff",
    text="#1f2328",
    muted="#7d8590",
    grid="#e4e7eb",
    cycle=("#0072b2", "#d76101", "#009e73", "#9c2e85", "#755700", "#3f3f3f"),
    spread=(0.0, 0.86),
)
DARK = Theme(
    "dark",
    background="#15181d",
    text="#e6e9ed",
    muted="#8d96a0",
    grid="#2b3038",
    cycle=("#85bff4", "#f38237", "#29c79a", "#d281c9", "#eccc4d", "#d0d4d9"),
    spread=(0.24, 1.0),
)
BOTH = Theme(
    "both",
    background="#ffffff",
    text="#7d8590",
    muted="#8a929b",
    grid="#8a929b",
    cycle=("#2f8fce", "#e0671f", "#1a9c74", "#c05fb8", "#a08000", "#6f7680"),
    spread=(0.12, 0.9),
)
"""Between the two, for interactive plots, which a page shows on either background."""

THEMES = {theme.name: theme for theme in (LIGHT, DARK)}
