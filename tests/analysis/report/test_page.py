"""The report's page, its elements and in a real browser: it sorts, filters, draws and requests nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.browser import LIMIT, Browser, browser
from tests.hostile import HOSTILE, hostile_run
from tests.page_elements import Elements
from thaw.analysis.plots import PLOTS
from thaw.analysis.plots.theme import AXIS_TEXT
from thaw.analysis.report import write_report
from thaw.analysis.run import Run

TRIALS = 130

CELLS = """
    const column = arguments[0], table = document.querySelector("table.sortable");
    const index = [...table.tHead.rows[0].cells].findIndex((cell) => cell.textContent === column);
    return [...table.tBodies[0].rows].map((row) => row.cells[index].textContent);
"""
SORTED = """
    const cells = [...document.querySelectorAll("table.sortable thead th")];
    return cells.filter((cell) => cell.ariaSort).map((cell) => [cell.textContent, cell.ariaSort]);
"""
PRESS = """
    [...document.querySelectorAll("table.sortable thead button")].find((b) => b.textContent === arguments[0]).focus();
"""
FILTER = """
    const field = document.querySelector("input[type=search]");
    field.value = arguments[0];
    field.dispatchEvent(new Event("input"));
"""
SCROLLED = """
    const boxes = [...document.querySelectorAll(".static, .scroll")];
    return boxes.filter((box) => box.scrollWidth > box.clientWidth).map((box) => box.ariaLabel);
"""
BLOCK = """
    const cells = [...document.querySelector("table.sortable").tBodies[0].rows[0].querySelectorAll("[data-name]")];
    return cells.filter((cell) => cell.offsetWidth).map((cell) => `${cell.dataset.name}\xa0${cell.textContent}`);
"""
"""The values that the first trial shows on a phone."""
COUNT = "return document.querySelector('.count').textContent"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return hostile_run(tmp_path_factory.mktemp("hostile"), TRIALS)


@pytest.fixture(scope="module")
def page(run: Run) -> Path:
    """A report on a run in whose folder every name is hostile; drawing it takes seconds."""
    return write_report([run])


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


def test_hostile_names_stay_text(page: Path) -> None:
    elements = Elements(page)
    assert not [image for image in elements.all("img") if image.get("onerror")]
    assert all(str(image["src"]).startswith("data:image/") for image in elements.all("img"))
    assert all(script.get("src") is None for script in elements.all("script"))
    loads = [element for tag, element in elements.found if tag in ("link", "iframe", "object", "base")]
    assert loads == [{"rel": "icon", "href": "data:,"}]
    kinds = [kind for kind, _ in elements.scripts]
    assert kinds.count("rows") == 1 and kinds.count(None) == 2, "plotly and the page's own; nothing that a name opened"
    rows = json.loads(dict(elements.scripts)["rows"])
    assert any(HOSTILE[1] in str(row[-1]) for row in rows["rows"])
    for kind, text in elements.scripts:
        if kind == "plotly":
            assert "<script" not in json.dumps(json.loads(text))


def test_every_picture_has_its_words_and_files(page: Path) -> None:
    elements = Elements(page)
    pictures = elements.all("img")
    assert len(pictures) == len(elements.all("figure")) >= 15
    assert all(len(str(picture["alt"])) > 40 for picture in pictures)
    dark = [source for source in elements.all("source") if source["media"] == "screen and (prefers-color-scheme: dark)"]
    assert len(dark) == len(pictures) and not {str(d["srcset"]) for d in dark} & {str(p["src"]) for p in pictures}
    links = [str(link["href"]) for link in elements.all("a")]
    files = [link for link in links if not link.startswith("#")]
    assert all((page.parent / link).stat().st_size > 0 for link in files)
    for name in PLOTS:
        made = {f"plots/{name}.png", f"plots/{name}.svg", f"tables/{name}.csv"} & set(files)
        assert len(made) in (0, 3), name
    assert {"metrics", "trials"} <= {file.stem for file in (page.parent / "tables").iterdir()}
    anchors = {link[1:] for link in links if link.startswith("#")}
    assert anchors <= {element.get("id") for _, element in elements.found}
    assert len(pd.read_csv(page.parent / "tables" / "trials.csv")) == TRIALS


def test_headings_and_landmarks_lead_through_the_page(page: Path) -> None:
    elements = Elements(page)
    levels = [int(tag[1]) for tag, _ in elements.found if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit()]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert {"header", "nav", "main", "footer"} <= {tag for tag, _ in elements.found}
    assert len(elements.all("table")) == len(elements.all("caption"))
    assert elements.all("html")[0]["lang"] == "en" and elements.all("noscript")


def wait_until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + LIMIT
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def type_keys(chromium: Browser, keys: str) -> None:
    chromium.driver.switch_to.active_element.send_keys(keys)


def test_it_opens_without_errors_and_requests_nothing(chromium: Browser, page: Path) -> None:
    chromium.errors(), chromium.requests()
    chromium.open(page)
    assert chromium.run("return document.querySelectorAll('figure').length") >= 15
    assert chromium.run("return [...document.images].every((image) => image.complete && image.naturalWidth > 300)")
    buttons = chromium.run("return document.querySelectorAll('.toggle').length")
    assert buttons >= 5
    for index in range(buttons):
        chromium.run("document.querySelectorAll('.toggle')[arguments[0]].click()", index)
    drawn = "return document.querySelectorAll('.interactive .main-svg, .interactive canvas').length"
    wait_until(lambda: chromium.run(drawn) >= buttons)
    assert chromium.run("return document.querySelectorAll('.static[hidden]').length") == buttons
    heatmap = chromium.run("return document.querySelector('#run-1-freeze_depth .interactive').textContent")
    assert "n = " in heatmap, "cells keep their values and counts"
    chromium.run("document.querySelector('.toggle').click()")
    assert chromium.run("return !document.querySelector('.static').hidden"), "and back to the picture"
    assert chromium.errors() == []
    assert {address.split(":")[0] for address in chromium.requests()} <= {"file", "data", "blob"}
    assert chromium.run("return document.querySelectorAll('script').length") == chromium.run(
        "return document.querySelectorAll('body > script, figure > script.plotly, .trials > script.rows').length"
    ), "no name of the user's opened a script"


def test_the_table_sorts_by_mouse_and_by_keyboard(chromium: Browser, page: Path, run: Run) -> None:
    chromium.open(page)
    best = [str(run.best.number)] if run.best else []
    assert chromium.run(CELLS, "trial")[:1] == best
    assert chromium.run(SORTED) == [["val_map", "descending"]]
    chromium.run(PRESS, "trial")
    type_keys(chromium, "\ue007")  # Enter
    assert chromium.run(SORTED) == [["trial", "ascending"]]
    assert chromium.run(CELLS, "trial") == [str(number) for number in range(50)]
    type_keys(chromium, " ")
    assert chromium.run(SORTED) == [["trial", "descending"]]
    assert chromium.run(CELLS, "trial")[0] == str(TRIALS - 1)
    chromium.run(PRESS, "learning_rate")
    type_keys(chromium, "\ue007")
    shown = [float(cell) for cell in chromium.run(CELLS, "learning_rate")]
    assert shown == sorted(shown) and shown[0] == pytest.approx(run.trials["learning_rate"].min(), rel=1e-3)
    chromium.run(PRESS, "val_loss")
    type_keys(chromium, "\ue007")
    assert chromium.run(SORTED) == [["val_loss", "ascending"]]
    chromium.run("document.querySelector('.more').click()")
    losses = chromium.run(CELLS, "val_loss")
    assert len(losses) == TRIALS and losses[0] != "–", "missing values come last"
    missing = int(run.trials["val_loss"].isna().sum())
    assert missing and losses[-missing:] == ["–"] * missing and "–" not in losses[:-missing]


@pytest.mark.parametrize("words", ["pruned resnet50", "status=pruned architecture=ResNet50"])
def test_the_table_filters_by_words_and_conditions(chromium: Browser, page: Path, run: Run, words: str) -> None:
    chromium.open(page)
    table = run.trials
    expected = table[(table["status"] == "pruned") & (table["architecture"] == "resnet50")]
    chromium.run(FILTER, words)
    assert sorted(map(int, chromium.run(CELLS, "trial"))) == sorted(expected["trial"])
    assert chromium.run(COUNT) == f"{len(expected)} of {len(expected)} trials shown, of {TRIALS}"
    chromium.run(FILTER, f"{words} freeze_depth>=3 val_map<0.5")
    expected = expected[(expected["freeze_depth"] >= 3) & (expected["val_map"] < 0.5)]
    assert sorted(map(int, chromium.run(CELLS, "trial"))) == sorted(expected["trial"])
    chromium.run(FILTER, "no such trial")
    assert chromium.run(CELLS, "trial") == [] and chromium.run(COUNT).startswith("0 of 0 trials")
    chromium.run(FILTER, "")
    assert chromium.run(COUNT) == f"50 of {TRIALS} trials shown"
    chromium.run(FILTER, "status=failed")
    errors = chromium.run(CELLS, "error")
    assert errors and all(error.startswith(HOSTILE[1]) for error in errors), "as it stands"


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(chromium: Browser, page: Path, width: int, theme: str) -> None:
    chromium.open(page, width=width, theme=theme)
    chromium.run("document.querySelectorAll('details').forEach((details) => { details.open = true; })")
    assert chromium.run("return document.documentElement.scrollWidth") <= width
    assert chromium.run("return window.innerWidth") == width
    assert chromium.run(SCROLLED) == [] or width > 390, (
        "nor than a phone; on a wider screen, tables scroll in their box"
    )


@pytest.mark.parametrize("width", [390, 1280])
def test_words_along_axes_are_readable_on_any_screen(chromium: Browser, page: Path, width: int) -> None:
    chromium.open(page, width=width)
    scales = chromium.run("""
        return [...document.querySelectorAll("figure img")].map((image) => {
            const sources = [...image.parentElement.querySelectorAll("source[width]")];
            const drawn = sources.find((source) => source.srcset === image.currentSrc) ?? image;
            return image.clientWidth / drawn.getAttribute("width");
        });
    """)
    assert min(scales) * AXIS_TEXT * 96 / 72 >= 10, "CSS pixels"


def test_a_phone_shows_trials_as_blocks_and_the_rest_of_one_on_demand(chromium: Browser, page: Path, run: Run) -> None:
    chromium.open(page, width=390)
    assert run.best and len(chromium.run(CELLS, "trial")) == 50
    block = chromium.run(BLOCK)
    assert block[0] == f"trial\xa0{run.best.number}" and block[1].startswith("val_map\xa00.")
    assert [word.split("\xa0")[0] for word in block[2:]] == ["network", "depth", "lr", "wd", "dropout", "optim"]
    sizes = "return [...document.querySelectorAll('.trials *')].map((e) => parseFloat(getComputedStyle(e).fontSize))"
    assert min(chromium.run(sizes)) >= 10
    expanded = "return document.querySelector('.details button').ariaExpanded"
    assert chromium.run(expanded) == "false"
    chromium.run("document.querySelector('.details button').focus()")
    type_keys(chromium, "\ue007")
    assert chromium.run(expanded) == "true"
    assert {"status", "best_epoch", "val_loss", "seconds"} <= {word.split("\xa0")[0] for word in chromium.run(BLOCK)}
    assert chromium.run(SCROLLED) == []
    chromium.run("document.querySelector('table.sortable tbody td').click()")
    assert chromium.run(expanded) == "false" and chromium.run(BLOCK) == block
    chromium.run(PRESS, "trial")
    type_keys(chromium, "\ue007")
    assert chromium.run(CELLS, "trial")[:2] == ["0", "1"]


def test_a_wide_screen_shows_the_table_whole_and_has_no_holes(chromium: Browser, page: Path) -> None:
    chromium.open(page)
    assert (
        chromium.run("const box = document.querySelector('.trials .scroll'); return box.scrollWidth - box.clientWidth")
        <= 0
    )
    cut = """
        return [...document.querySelectorAll(".sortable td, .sortable th")].filter(
            (cell) => cell.scrollWidth > cell.clientWidth + 1).map((cell) => cell.textContent);
    """
    assert chromium.run(cut) == []
    holes = """
        return [...document.querySelectorAll(".pictures")].map((box) => {
            const edge = (element) => element.getBoundingClientRect();
            const cards = [...box.children], last = edge(cards[cards.length - 1]);
            const heights = cards.map((card) => [edge(card).top, edge(card).height]);
            const uneven = heights.some(([top, height]) => heights.some(([t, h]) => t === top && h !== height));
            return [edge(box).right - last.right, uneven];
        }).filter(([gap, uneven]) => gap > 1 || uneven);
    """
    assert chromium.run(holes) == []


def test_dark_mode_is_dark_and_paper_is_white(chromium: Browser, page: Path) -> None:
    background = "return getComputedStyle(document.body).backgroundColor"
    source = "return document.querySelector('figure img').currentSrc"
    chromium.open(page, theme="light")
    assert chromium.run(background) == "rgb(255, 255, 255)"
    light = chromium.run(source)
    chromium.media("screen", "dark")
    wait_until(lambda: chromium.run(source) != light)
    assert chromium.run(background) == "rgb(21, 24, 29)"
    chromium.run("document.querySelector('.toggle').click()")
    chromium.media("print", "dark")
    wait_until(lambda: chromium.run(source) == light)
    assert chromium.run(background) == "rgb(255, 255, 255)"
    visible = "return getComputedStyle(document.querySelector(arguments[0])).display"
    assert chromium.run(visible, ".static") == "block" and chromium.run(visible, ".interactive") == "none"
    assert chromium.run(visible, "nav") == "none"


CONTRAST = """
    const light = (colour) => {
        const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => {
            const share = part / 255;
            return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2];
    };
    const paper = (element) => {
        const colour = getComputedStyle(element).backgroundColor;
        return colour === "rgba(0, 0, 0, 0)" ? paper(element.parentElement) : colour;
    };
    const worst = {};
    for (const element of document.querySelectorAll("main *, header *, footer *")) {
        const words = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!words || element.closest("script, noscript, .interactive")) continue;
        const [a, b] = [light(getComputedStyle(element).color), light(paper(element))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        if (ratio < 4.5) worst[element.tagName + "." + element.className] = ratio;
    }
    return worst;
"""


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_contrasts_with_its_background(chromium: Browser, page: Path, theme: str) -> None:
    """WCAG 2.1, level AA: a contrast of 4.5 to 1."""
    chromium.open(page, theme=theme)
    assert chromium.run(CONTRAST) == {}
