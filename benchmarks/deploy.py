"""Photos per second of each way to use a bundle, see docs/deploy.md.

python -m benchmarks.deploy BUNDLE PHOTOS… [--images 200] [--rounds 3] [--web FOLDER]

BUNDLE has a model.onnx. FOLDER is where `npm install onnxruntime-web` was run; without it no browser is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any

import numpy as np

from benchmarks.machine import machine, print_table
from thaw.trainables.bundles.bundle import load_bundle
from thaw.trainables.data.image_places import find_images

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "deploy"
CLIENTS = 4
"""Threads that send photos to the service."""

START = 120.0
"""Seconds in which the service must answer."""

BATCH = 32

TIMED = """
const [number, done] = arguments
const [, { model }] = await ready
const began = performance.now()
for (let i = 0; i < number; i++) await classify(await prepare(photo.files[i % photo.files.length], model))
done(1000 * number / (performance.now() - began))
"""
"""In the page: photos a second, decoding included."""


@contextmanager
def service(bundle: Path) -> Iterator[str]:
    """The example's service on loopback; gives its address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "uvicorn", "service:app", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen(command, cwd=EXAMPLES, env={**os.environ, "BUNDLE": str(bundle.resolve())})
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + START
        while True:
            try:
                urllib.request.urlopen(f"{address}/openapi.json", timeout=5).close()
                break
            except OSError:
                if process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait()


def ask(address: str, photo: Path) -> dict[str, Any]:
    """The service's answer for a photo."""
    request = urllib.request.Request(f"{address}/predict", photo.read_bytes(), {"Content-Type": "image/jpeg"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def onnx_example() -> ModuleType:
    """``examples/deploy/onnx_predict.py`` as a module."""
    spec = spec_from_file_location("onnx_predict", EXAMPLES / "onnx_predict.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def web_page(bundle: Path, packages: Path, folder: Path) -> Iterator[str]:
    """The example's page on loopback, with the bundle's files and npm's packages next to it; gives its address."""
    for file in (EXAMPLES / "index.html", bundle / "model.onnx", bundle / "bundle.json"):
        shutil.copy(file, folder)
    (folder / "node_modules").symlink_to((packages / "node_modules").resolve())
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/index.html"
    finally:
        server.shutdown()
        server.server_close()


def main() -> None:
    """Measure all ways in turn, several rounds; print the median of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("places", nargs="+", help="as for thaw predict")
    parser.add_argument("--images", type=int, default=200, help="use only the first N (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--web", type=Path, help="where node_modules/onnxruntime-web is")
    options = parser.parse_args()
    paths = list(find_images(options.places).values())[: options.images]
    bundle, example = load_bundle(options.bundle, "cpu"), onnx_example()
    session, about = example.load(str(options.bundle / "model.onnx"))

    def onnx(size: int) -> None:
        for start in range(0, len(paths), size):
            pixels = np.stack([example.prepare(str(path), about["square"]) for path in paths[start : start + size]])
            session.run(None, {"pixels": pixels})

    with ExitStack() as stack:
        address = stack.enter_context(service(options.bundle))
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        ways: dict[str, Callable[[], object]] = {
            "Bundle.predict, all at once": lambda: bundle.predict(paths),
            "Bundle.predict, one by one": lambda: [bundle.predict(path) for path in paths],
            f"FastAPI service, {CLIENTS} clients": lambda: list(pool.map(partial(ask, address), paths)),
            "ONNX Runtime, one by one": lambda: onnx(1),
            f"ONNX Runtime, {BATCH} at a time": lambda: onnx(BATCH),
        }
        rates = {name: [_rate(way, len(paths)) for _ in range(options.rounds)] for name, way in ways.items()}
    if options.web is not None:
        rates["onnxruntime-web in Chromium"] = in_browser(options.bundle, options.web, paths, options.rounds)
    print(json.dumps(machine()))
    rows = [[name, float(np.median(values)), min(values), max(values)] for name, values in rates.items()]
    title = f"Photos a second, {len(paths)} photos, {bundle.model.architecture}, {bundle.model.image_size} pixels"
    print_table(title, ["", "median", "least", "most"], rows)


def _rate(way: Callable[[], object], photos: int) -> float:
    started = time.perf_counter()
    way()
    return photos / (time.perf_counter() - started)


def in_browser(bundle: Path, packages: Path, paths: list[Path], rounds: int) -> list[float]:
    """Photos a second in a headless Chromium, one by one."""
    from tests.browser import browser

    with ExitStack() as stack:
        folder, profile = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        page = stack.enter_context(web_page(bundle, packages, folder))
        driver = stack.enter_context(browser(profile)).driver
        driver.get(page)
        photo = driver.find_element("id", "photo")
        driver.execute_script("photo.multiple = true; photo.onchange = null")
        photo.send_keys("\n".join(str(path.resolve()) for path in paths))
        script = f"const run = async () => {{{TIMED.replace('arguments', 'given')}}}; const given = arguments; run()"
        driver.execute_async_script(script, 5)
        return [driver.execute_async_script(script, len(paths)) for _ in range(rounds)]


if __name__ == "__main__":
    main()
