"""The examples in docs/deploy.md work: a web service, ONNX Runtime in Python, and predictions in a browser."""

from __future__ import annotations

import io
import itertools
import json
import shutil
import subprocess
import sys
import urllib.error
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from benchmarks.deploy import EXAMPLES, ask, onnx_example, service, web_page
from tests.browser import browser
from tests.conftest import ROOT, needs_photos, thaw_data
from tests.searches import small_config
from thaw.search.delivery.train import train_config
from thaw.trainables.bundles.bundle import Bundle, load_bundle
from thaw.trainables.data.decoding import RESIZE, Square, decode_image
from thaw.trainables.evaluation.label_sets import LabelRule

PACKAGE = "onnxruntime-web@1.30.0"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path, resnet18_file: Path) -> Bundle:
    """A frozen resnet18 with a trained head, which takes the middle of a picture."""
    folder = tmp_path_factory.mktemp("deploy")
    training = {"architecture": "resnet18", "freeze_depth": 5, "epochs": 1, "learning_rate": 0.01}
    weights = {"resnet18": str(resnet18_file)}
    data = {"crop_pct": 0.875, "interpolation": "bicubic"}
    config = small_config(
        folder, squares, cache, data=data, space={}, training=training, weights=weights, search={"algorithm": "random"}
    )
    train_config(config, folder / "bundle", Console(file=io.StringIO()), onnx=True)
    return load_bundle(folder / "bundle", "cpu")


@pytest.fixture(scope="module")
def photos(squares: Path) -> list[Path]:
    data = thaw_data()
    return sorted((squares / "images" if data is None else data / "coco18" / "images").iterdir())[:4]


def test_the_page_shows_the_current_examples() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")
    code = (EXAMPLES / "service.py").read_text(encoding="utf-8").partition('"""\n\n')[2]
    assert code in page and len(code.splitlines()) <= 20
    assert all(f"../examples/deploy/{file.name}" in page for file in EXAMPLES.iterdir() if file.is_file())


def test_onnx_runtime_in_python_equals_the_bundle(bundle: Bundle, photos: list[Path]) -> None:
    example = onnx_example()
    session, about = example.load(str(bundle.path / "model.onnx"))
    pixels = np.stack([example.prepare(str(photo), about["square"]) for photo in photos])
    np.testing.assert_array_equal(pixels, [decode_image(photo, bundle.model.square) for photo in photos])
    expected = [list(prediction.probabilities.values()) for prediction in bundle.predict(photos)]
    np.testing.assert_allclose(session.run(None, {"pixels": pixels})[0], expected, atol=1e-5)
    command = [sys.executable, str(EXAMPLES / "onnx_predict.py"), str(bundle.path / "model.onnx"), str(photos[0])]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    [prediction] = bundle.predict(photos[0])
    assert printed.split()[1::2] == list(prediction.labels)


@pytest.mark.parametrize(
    ("policy", "k"), [("threshold", None), ("never_empty", None), ("at_most", 1), ("at_most", 2), ("exactly_one", None)]
)
def test_the_example_chooses_the_same_labels(policy: str, k: int | None) -> None:
    rule = LabelRule(np.tile([1.0, 0.0], (3, 1)), np.array([0.5, 0.5, 0.2]), policy, k)
    about = {"thresholds": rule.thresholds.tolist(), "policy": policy, "k": k}
    cases = np.array([[0.9, 0.6, 0.3], [0.4, 0.4, 0.1], [0.1, 0.2, 0.2], [0.5, 0.5, 0.5]])
    own = [onnx_example().chosen(probabilities, about) for probabilities in cases]
    assert own == [np.flatnonzero(chosen).tolist() for chosen in rule.label_sets(cases)]


def test_the_example_makes_the_same_squares(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (50, 75, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photo := tmp_path / "noise.png")
    for resize, crop_pct in itertools.product(RESIZE, (1.0, 0.8)):
        square = Square(32, resize, "bicubic", crop_pct)
        np.testing.assert_array_equal(
            onnx_example().prepare(str(photo), asdict(square)), decode_image(photo, square), f"{resize} {crop_pct}"
        )


@pytest.mark.slow
def test_the_service_answers_for_a_photo_and_refuses_anything_else(bundle: Bundle, photos: list[Path]) -> None:
    for package in ("fastapi", "uvicorn"):
        pytest.importorskip(package)
    with service(bundle.path) as address:
        for photo in photos:
            [expected] = bundle.predict(photo)
            answer = ask(address, photo)
            assert answer["labels"] == list(expected.labels)
            assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-6)
        with pytest.raises(urllib.error.HTTPError) as refused:
            ask(address, bundle.path / "config.yaml")
        assert refused.value.code == 422 and "not an image" in json.load(refused.value)["detail"]


@needs_photos
@pytest.mark.slow
def test_a_browser_gives_the_same_for_a_photo(bundle: Bundle, photos: list[Path], tmp_path: Path) -> None:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("no npm, which fetches onnxruntime-web")
    (tmp_path / "page").mkdir()
    install = [npm, "install", "--no-audit", "--no-fund", "--silent", PACKAGE]
    done = subprocess.run(install, cwd=tmp_path, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"npm cannot fetch {PACKAGE}: {(done.stderr or done.stdout)[-200:]}")
    with web_page(bundle.path, tmp_path, tmp_path / "page") as page, browser(tmp_path / "profile") as window:
        driver = window.driver
        driver.get(page)
        pixels = decode_image(photos[0], bundle.model.square)
        script = "const done = arguments[1]; classify(arguments[0]).then(done, (error) => done(String(error)))"
        found = driver.execute_async_script(script, pixels.ravel().tolist())
        [expected] = bundle.predict(photos[0])
        assert found == pytest.approx(expected.probabilities, abs=1e-4), "the same pixels"
        script = (
            "const done = arguments[0]; "
            "ready.then(([, { model }]) => prepare(photo.files[0], model)).then((pixels) => done([...pixels]))"
        )
        driver.find_element("id", "photo").send_keys(str(photos[0]))
        own = np.array(driver.execute_async_script(script), int).reshape(pixels.shape)
        assert np.abs(own - pixels).mean() < 8, "the browser scales and crops nearly as Pillow does"
        shown = driver.execute_async_script(
            "const done = arguments[0]; show().then(() => done(document.getElementById('labels').textContent))"
        )
        assert shown == "none" or {text.split()[0] for text in shown.split(", ")} <= set(bundle.classes)
        assert window.errors() == []
