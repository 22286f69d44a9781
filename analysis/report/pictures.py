"""The plots of a run as files next to the page and as images inside it."""

from __future__ import annotations

import base64
import io
import math
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from PIL import Image

from thaw.analysis.csv_text import csv_text
from thaw.analysis.plots import DARK, LIGHT, NotEnough, Plot, Theme
from thaw.analysis.plots.layout import legible
from thaw.analysis.plots.theme import AXIS_TEXT, NARROW

LARGEST_SVG = 150_000
"""The maximum bytes for embedding a plot as SVG, which is sharp at any size; beyond, PNG is used if it is smaller."""

DPI = 160
NARROW_DPI = 192
"""For phones, which have at least two pixels per CSS pixel."""
COLOURS, NARROW_COLOURS = 256, 64
"""Palette sizes of a PNG on the page, and of one for phones."""
CSS_PIXELS = 96
"""Per inch."""
POINTS = 72
"""Per inch."""
SMALLEST_TEXT = 10
"""The minimum font size along an axis on any screen, in CSS pixels."""

FORMATS = {"svg": "image/svg+xml", "png": "image/png"}


@dataclass(frozen=True)
class Narrow:
    """A plot drawn for a narrow screen.

    Args:
        light, dark: data URIs.
        width, height: in CSS pixels.
    """

    light: str
    dark: str
    width: int
    height: int


@dataclass(frozen=True)
class Picture:
    """One plot on the page.

    Args:
        name: name of the plot and of its files.
        title, question, finding: texts; the finding is also the alternative text for screen readers.
        light, dark: data URIs.
        width, height: in CSS pixels.
        narrow: the same drawn for a narrow screen; None if its words do not fit there, and a reader scrolls.
        files: label → path relative to the page.
        interactive: a plotly figure in plain JSON values, or None.
    """

    name: str
    title: str
    question: str
    finding: str
    light: str
    dark: str
    width: int
    height: int
    narrow: Narrow | None
    files: dict[str, str]
    interactive: dict[str, Any] | None

    @property
    def least_width(self) -> int:
        """CSS pixels below which its words would be too small; a narrower screen scrolls it."""
        return math.ceil(self.width * SMALLEST_TEXT / (AXIS_TEXT * CSS_PIXELS / POINTS))


def draw_all(
    plots: dict[str, Plot[Any]], source: Any, report: Path, folder: str
) -> tuple[dict[str, list[Picture]], dict[str, str]]:
    """Draw all plots that the run has enough data for.

    Args:
        plots: name → plot.
        source: the argument of their compute functions: a run, or several.
        report: the report's folder.
        folder: the run's subfolder of it; empty for the report itself.

    Returns:
        Group → pictures in order, and title → reason for the plots that lack data.
    """
    groups: dict[str, list[Picture]] = {}
    absent: dict[str, str] = {}
    for name, plot in plots.items():
        try:
            data = plot.compute(source)
        except NotEnough as reason:
            absent[plot.title] = str(reason)
            continue
        with warnings.catch_warnings():
            # No font of matplotlib has every character that a label may hold; the table next to the plot shows them.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            groups.setdefault(plot.group, []).append(_picture(name, plot, data, report, folder))
    return groups, absent


def _picture(name: str, plot: Plot[Any], data: Any, report: Path, folder: str) -> Picture:
    places = {"PNG": ("plots", "png"), "SVG": ("plots", "svg"), "CSV": ("tables", "csv")}
    files = {label: str(Path(folder, kind, f"{name}.{ending}")) for label, (kind, ending) in places.items()}
    for path in files.values():
        (report / path).parent.mkdir(parents=True, exist_ok=True)
    write_table(report / files["CSV"], plot.table(data))
    light, dark = (untitled(plot, data, theme) for theme in (LIGHT, DARK))
    lay_out(light)
    share_layout(light, dark)
    kind, images = _wide_images(light, dark)
    width, height = css_size(light)
    plot.add_title(light, LIGHT)
    lay_out(light)
    (report / files["SVG"]).write_bytes(_svg(light))
    _pixels(light, DPI).save(report / files["PNG"], dpi=(DPI, DPI))
    interactive = plain(plot.interactive(data), literally) if plot.interactive else None
    light_uri, dark_uri = (_uri(image, kind) for image in images)
    finding, narrow = plot.finding(data), _narrow(plot, data)
    return Picture(
        name, plot.title, plot.question, finding, light_uri, dark_uri, width, height, narrow, files, interactive
    )


def _wide_images(light: Figure, dark: Figure) -> tuple[str, list[bytes]]:
    """Both as SVG or, where that is large and PNG is smaller, both as PNG; with the name of the format."""
    svg = _svg(light)
    if len(svg) > LARGEST_SVG:
        png = few_colours(_pixels(light, DPI))
        if len(png) < len(svg):
            return "png", [png, few_colours(_pixels(dark, DPI))]
    return "svg", [svg, _svg(dark)]


def _narrow(plot: Plot[Any], data: Any) -> Narrow | None:
    with warnings.catch_warnings():
        # Matplotlib warns about parts without any room; such a figure is not legible anyway.
        warnings.simplefilter("ignore", UserWarning)
        light = untitled(plot, data, LIGHT.narrow)
        # Long words next to a colour bar find their places in a second layout.
        if light.get_figwidth() > NARROW or not (legible(light) or legible(light)):
            return None
        dark = untitled(plot, data, DARK.narrow)
    share_layout(light, dark)
    images = [_uri(few_colours(_pixels(figure, NARROW_DPI), NARROW_COLOURS), "png") for figure in (light, dark)]
    width, height = css_size(light)
    return Narrow(images[0], images[1], width, height)


def css_size(figure: Figure) -> tuple[int, int]:
    """Width and height in CSS pixels."""
    width, height = figure.get_size_inches()
    return round(width * CSS_PIXELS), round(height * CSS_PIXELS)


def untitled(plot: Plot[Any], data: Any, theme: Theme) -> Figure:
    """The plot as shown on the page, which adds its own heading."""
    with theme.applied():
        figure = plot.draw(data, theme)
    for axes in figure.axes:
        # A title that is longer than its axis takes two lines.
        axes.xaxis.label.set_wrap(True)
        axes.yaxis.label.set_wrap(True)
    return figure


def lay_out(figure: Figure) -> None:
    """Lay out a figure once for all formats."""
    ConstrainedLayoutEngine().execute(figure)
    figure.set_layout_engine(None)


def share_layout(light: Figure, dark: Figure) -> None:
    """Give a figure the layout of one that differs in colours alone: finding a layout costs as much as drawing."""
    for figure in (light, dark):
        # With the engine "none", saving would still go through a figure twice.
        figure.set_layout_engine(None)
    for one, other in zip(light.axes, dark.axes, strict=True):
        other.set_position(one.get_position(original=True))
        other.set_anchor(one.get_anchor())
        other.set_box_aspect(one.get_box_aspect())


def _svg(figure: Figure) -> bytes:
    """A figure with a finished layout as SVG; equal figures give equal bytes."""
    buffer = io.BytesIO()
    # Without a fixed salt, matplotlib names the parts of an SVG at random.
    with mpl.rc_context({"svg.hashsalt": "thaw"}):
        figure.savefig(buffer, format="svg", dpi=DPI, metadata={"Date": None})
    return buffer.getvalue()


def _pixels(figure: Figure, dpi: float) -> Image.Image:
    """A figure with a finished layout as an image."""
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")


def few_colours(image: Image.Image, colours: int = COLOURS) -> bytes:
    """A PNG with a palette: with 256 colours a third of the bytes, without a visible difference in a plot."""
    buffer = io.BytesIO()
    image.quantize(colours, dither=Image.Dither.NONE).save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _uri(image: bytes, kind: str) -> str:
    return f"data:{FORMATS[kind]};base64,{base64.b64encode(image).decode()}"


def write_table(file: Path, table: pd.DataFrame) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(csv_text(table), encoding="utf-8", errors="backslashreplace")


def plain(value: Any, text: Callable[[str], str] = str) -> Any:
    """Convert to JSON values; strings are passed through `text`, non-finite numbers become null."""
    if isinstance(value, str):
        return text(value)
    if isinstance(value, dict):
        return {str(key): plain(item, text) for key, item in value.items()}
    if isinstance(value, Iterable):
        return [plain(item, text) for item in value]
    if hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


_TAG = re.compile(r"<(?!/?(?:b|br|extra)>)")


def literally(text: str) -> str:
    """Escape a string for Plotly, which interprets some HTML; only the few tags that plots use are kept."""
    return _TAG.sub("&lt;", text)
