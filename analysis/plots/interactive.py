"""Plotly figures as plain dictionaries: the page that shows them includes plotly; this package does not import it."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from thaw.analysis.plots.theme import BOTH

CLEAR = "rgba(0,0,0,0)"
"""Lets the page's own background, light or dark, show through."""


COLORSCALE = [[float(share), to_hex(BOTH.shade(share))] for share in np.linspace(0, 1, 16)]
"""The colours of values, low to high, for either background."""


def plotly_figure(traces: list[dict[str, Any]], x: str, y: str, **layout: Any) -> dict[str, Any]:
    """A figure with titled axes; colours of text and grid are left to the page.

    Args:
        traces: plotly's traces.
        x, y: titles of the axes.
        layout: further keys of plotly's layout.
    """
    return {
        "data": traces,
        "layout": {
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "margin": {"l": 60, "r": 20, "t": 20, "b": 50},
            "legend": {"orientation": "h", "y": -0.2},
            "hovermode": "closest",
            "xaxis": {"title": {"text": x}, "automargin": True},
            "yaxis": {"title": {"text": y}, "automargin": True},
            **layout,
        },
    }
