"""Words of a figure that collide or are cut off, and legends that cover data."""

from __future__ import annotations

from itertools import combinations

from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

TOUCH = 1.0
"""Pixels by which two boxes may overlap: letters do not fill their boxes."""


def legible(figure: Figure) -> bool:
    """Whether no words collide or are cut off, and no legend covers data."""
    drawn = words(figure)
    return not (collisions(drawn) or beyond_the_edge(figure, drawn) or legends_over_data(figure))


def words(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every word that is drawn, with its box in pixels: tick labels, titles, annotations, legends."""
    figure.draw_without_rendering()
    hidden: set[Text] = set()
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            hidden |= _outside(axis)
    texts = [text for text in figure.findobj(Text) if isinstance(text, Text) and text not in hidden]
    return [(text.get_text(), text.get_window_extent()) for text in texts if text.get_visible() and text.get_text()]


def collisions(drawn: list[tuple[str, Bbox]]) -> list[tuple[str, str]]:
    """Pairs of words whose boxes intersect."""
    return [
        (a, b)
        for (a, box_a), (b, box_b) in combinations(drawn, 2)
        if (overlap := Bbox.intersection(box_a, box_b)) is not None and overlap.width > TOUCH and overlap.height > TOUCH
    ]


def beyond_the_edge(figure: Figure, drawn: list[tuple[str, Bbox]]) -> list[str]:
    """Words that the picture's edge cuts off."""
    page = figure.bbox
    return [
        text
        for text, box in drawn
        if box.x0 < page.x0 - TOUCH or box.y0 < page.y0 - TOUCH or box.x1 > page.x1 + TOUCH or box.y1 > page.y1 + TOUCH
    ]


def legends_over_data(figure: Figure) -> list[str]:
    """Legends that overlap the data area of some axes."""
    legends = [*figure.legends, *(legend for axes in figure.axes if (legend := axes.get_legend()))]
    return [
        str([text.get_text() for text in legend.get_texts()])
        for legend in legends
        for axes in figure.axes
        if (overlap := Bbox.intersection(legend.get_window_extent(), axes.get_window_extent())) is not None
        and overlap.width > TOUCH
        and overlap.height > TOUCH
    ]


def _outside(axis: Axis) -> set[Text]:
    """Tick labels beyond the visible part of an axis: they exist, but are not drawn."""
    low, high = sorted(axis.get_view_interval())
    slack = 1e-9 * (high - low)
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    return {
        label
        for tick in ticks
        if not low - slack <= tick.get_loc() <= high + slack or not axis.get_visible() or not axis.axes.get_visible()
        for label in (tick.label1, tick.label2)
    }
