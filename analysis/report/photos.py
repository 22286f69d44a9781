"""Photos on a page: sheets of thumbnails with their labels and probabilities, made with Pillow alone."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources

import jinja2
import numpy as np
from PIL import Image

THUMBNAIL = 128
"""Longest side of a thumbnail, pixels."""

QUALITY = 80
"""JPEG quality, from 1 to 95."""

BUDGET = 1_000_000
"""The maximum total size of a page's thumbnails, in bytes."""


@dataclass(frozen=True, eq=False)
class Photo:
    """One image.

    Args:
        pixels: uint8 RGB (S, S, 3), as the network sees it.
        name: its file name.
        lines: the text below it.
    """

    pixels: np.ndarray
    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """A group of photos.

    Args:
        title: a few words.
        meaning: how they were chosen, and what to look for.
        photos: in display order.
    """

    title: str
    meaning: str
    photos: tuple[Photo, ...]


@dataclass(frozen=True)
class _Thumbnail:
    source: str
    name: str
    lines: tuple[str, ...]


def gallery(sheets: Sequence[Sheet]) -> str:
    """HTML for a section of a page that allows ``data:`` images; safe for any label names."""
    left = BUDGET
    shown = []
    for sheet in sheets:
        thumbnails = []
        for photo in sheet.photos:
            content = _jpeg(photo.pixels)
            left -= len(content)
            if left < 0:
                break
            source = f"data:image/jpeg;base64,{base64.b64encode(content).decode()}"
            thumbnails.append(_Thumbnail(source, photo.name, photo.lines))
        shown.append((sheet, thumbnails, len(sheet.photos) - len(thumbnails)))
    return _template("photos.html").render(sheets=shown, css=_text("photos.css"))


def photo_page(title: str, sheets: Sequence[Sheet]) -> str:
    """A complete, self-contained page."""
    return _template("photos.page.html").render(title=title, gallery=gallery(sheets), css=_text("page.css"))


def _jpeg(pixels: np.ndarray) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BILINEAR)
    content = io.BytesIO()
    image.save(content, "JPEG", quality=QUALITY)
    return content.getvalue()


def _text(name: str) -> str:
    return (resources.files("thaw.analysis.report") / name).read_text(encoding="utf-8")


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_text(name))
