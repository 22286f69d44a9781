"""Plotly figures as plain dictionaries: the page that shows them brings plotly along, this package does not load it."""

from __future__ import annotations

from typing import Any

CLEAR = "rgba(0,0,0,0)"
"""The page's own background, light or dark, shows through."""


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
