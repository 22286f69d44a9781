"""A real headless Chromium for tests of the page, driven by Selenium."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--hide-scrollbars",
)
COLOURS = 64
"""In the palette of a screenshot."""

LIMIT = 120
"""Seconds for a page to load or a script to end: the machine may be busy."""


class Browser:
    """Opens pages and reports what happened."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, page: Path, width: int = 1280, height: int = 900, theme: str = "light") -> None:
        """Load a file in a window of this size in CSS pixels, for a reader who prefers a light or a dark theme."""
        self.window(width, height)
        self.media("screen", theme)
        self.driver.get(page.resolve().as_uri())

    def window(self, width: int, height: int) -> None:
        """Set the window's size in CSS pixels; a width below 500 is a phone's."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def media(self, kind: str, theme: str = "light") -> None:
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": kind, "features": features})

    def picture(self, width: float, height: float) -> bytes:
        """The page's upper left part, also below the window, as a PNG with few colours."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
        shot = self.driver.execute_cdp_cmd("Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip})
        whole = Image.open(BytesIO(base64.b64decode(shot["data"]))).convert("RGB")
        found = BytesIO()
        whole.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(
            found, "PNG", optimize=True
        )
        return found.getvalue()

    def run(self, script: str, *arguments: Any) -> Any:
        """Run the body of a JavaScript function and return its value."""
        return self.driver.execute_script(script, *arguments)

    def errors(self) -> list[str]:
        """Console messages since the last call, except those of the graphics driver."""
        return [entry["message"] for entry in self._log() if "WebGL" not in entry["message"]]

    def severe(self) -> list[str]:
        """Only errors, without warnings such as deprecations."""
        return [entry["message"] for entry in self._log() if entry["level"] == "SEVERE"]

    def _log(self) -> list[dict[str, Any]]:
        log: list[dict[str, Any]] = self.driver.get_log("browser")  # type: ignore[no-untyped-call]
        return log

    def requests(self) -> set[str]:
        """URLs that files have requested since the last call; those of the empty window do not count."""
        found = set()
        for entry in self.driver.get_log("performance"):  # type: ignore[no-untyped-call]
            message = json.loads(entry["message"])["message"]
            asked = message["method"] == "Network.requestWillBeSent"
            if asked and message["params"]["documentURL"].startswith("file:"):
                found.add(message["params"]["request"]["url"])
        return found


@contextmanager
def browser(profile: Path) -> Iterator[Browser]:
    """A browser with an empty profile folder, closed afterwards; the test is skipped if none is installed."""
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("no headless browser: install chromium and chromium-driver, see docs/development.md")
    options = webdriver.ChromeOptions()
    options.binary_location = str(CHROMIUM)
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(str(DRIVER)))
    try:
        driver.set_page_load_timeout(LIMIT)
        driver.set_script_timeout(LIMIT)
        yield Browser(driver)
    finally:
        driver.quit()
