"""A bundle predicts as its network did, loads without its run, and reports damage."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.bundles import CLASSES, SIDE, model_facts, random_network, write_bundle
from tests.conftest import ROOT
from tests.trainables.networks.test_table import TIMM
from thaw.spaces import ConfigError
from thaw.trainables.bundles.bundle import FACTS, FORMAT, MODEL, ONNX, file_digest, load_bundle
from thaw.trainables.bundles.classifier import build_classifier
from thaw.trainables.data.decoding import Square, decode_image
from thaw.trainables.data.views import render
from thaw.trainables.networks.table import ARCHITECTURES


@pytest.mark.parametrize("name", [*ARCHITECTURES, *TIMM])
def test_a_classifier_is_its_network_with_preprocessing(name: str) -> None:
    network, facts = random_network(name), model_facts(name)
    pixels = torch.randint(0, 256, (3, SIDE, SIDE, 3), dtype=torch.uint8)
    with torch.no_grad():
        expected = network(render(pixels, None, facts.mean, facts.std))
        state = {entry: value.clone() for entry, value in network.trained_state().items()}
        classifier = build_classifier(facts, state)
        found, folded = classifier(pixels), classifier.folded(SIDE)(pixels)
    assert found.shape == (3, len(CLASSES)) and not found.requires_grad
    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5) and torch.allclose(
        folded, expected, rtol=1e-4, atol=1e-4
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundle") / "model"
    write_bundle(folder)
    return folder


def test_all_kinds_of_image_input_are_accepted(made: Path, squares: Path, tmp_path: Path) -> None:
    bundle, file = load_bundle(made, "cpu"), squares / "images" / "0.png"
    with Image.open(file) as opened:
        image = opened.convert("RGB")
    pixels = np.asarray(image)
    [expected] = bundle.predict(str(file))
    assert expected.image == str(file), "one string is one path"
    content = file.read_bytes()
    for given in (file, image, pixels, content, [file], [image], [content], pixels[None]):
        [found] = bundle.predict(given)
        assert found.probabilities == expected.probabilities and found.labels == expected.labels
    (tmp_path / "below").mkdir()
    for number in range(3):
        image.save(tmp_path / "below" / f"{number}.png")
    found_in_folder = bundle.predict([tmp_path, image])
    assert [Path(found.image).name for found in found_in_folder] == ["0.png", "1.png", "2.png", "image 3"]
    for wrong in (pixels.astype(np.float32), np.zeros((8, 8, 2), np.uint8), Image.new("I;16", (8, 8))):
        assert "8 bits" in bundle.predict([wrong])[0].rejected or "uint8" in bundle.predict([wrong])[0].rejected
    half = content[: len(content) // 2]
    for damaged in (half, Image.open(io.BytesIO(half))):
        assert bundle.predict(damaged)[0].rejected.startswith("damaged: ")
    assert bundle.predict(b"no image")[0].rejected == "not an image of a known format"
    for none in (np.zeros((0, 8, 3), np.uint8), Image.new("RGB", (8, 0))):
        assert bundle.predict(none)[0].rejected == "8 x 0 pixels are none"
    for given in (None, 3, [None]):
        assert bundle.predict(given)[0].rejected.startswith("must be a path, bytes, a Pillow image or an array, got ")


def test_predictions_are_those_of_the_network(made: Path, squares: Path, tmp_path: Path) -> None:
    network = write_bundle(tmp_path / "again")
    files = [squares / "images" / f"{number}.png" for number in range(70)]
    facts = model_facts("convnet")
    pixels = torch.from_numpy(np.stack([decode_image(file, Square(SIDE)) for file in files]))
    with torch.no_grad():
        logits = network(render(pixels, None, facts.mean, facts.std)).numpy()
    bundle = load_bundle(made, "cpu")
    expected = bundle.rule.probabilities(logits)
    predictions = bundle.predict(files)
    assert [prediction.image for prediction in predictions] == list(map(str, files))
    found = [list(prediction.probabilities.values()) for prediction in predictions]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    chosen = expected >= bundle.rule.thresholds
    assert [set(prediction.labels) for prediction in predictions] == [
        {name for name, yes in zip(CLASSES, row, strict=True) if yes} for row in chosen
    ]
    assert len({prediction.labels for prediction in predictions}) > 1


@pytest.mark.parametrize(
    ("scales", "white"), [({"integer": [0, 4095]}, 4095), ({}, 1023), (None, 65535)], ids=["data set", "none", "0.1.0"]
)
def test_grey_images_are_read_as_in_the_training(scales: Any, white: int, squares: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "model")
    _facts(lambda facts: facts["model"].pop("grey"))(tmp_path / "model")
    if scales is None:
        _facts(lambda facts: facts.update(format=1))(tmp_path / "model")
    else:
        _facts(lambda facts: facts["model"].update(grey=scales))(tmp_path / "model")
    values = np.random.default_rng(0).integers(0, 1000, (SIDE, SIDE)).astype(np.uint16)
    values[0, 0] = 999
    Image.fromarray(values).save(tmp_path / "deep.png")
    Image.fromarray(np.rint(values * (255 / white)).astype(np.uint8)).save(tmp_path / "plain.png")
    bundle = load_bundle(tmp_path / "model", "cpu")
    deep, plain = bundle.predict([tmp_path / "deep.png", tmp_path / "plain.png"])
    assert deep.probabilities == pytest.approx(plain.probabilities, abs=1e-6)


def test_it_loads_without_ray_and_without_the_search(made: Path, squares: Path) -> None:
    image = squares / "images" / "0.png"
    code = f"""
import sys
from thaw.trainables.bundles.bundle import load_bundle
print(load_bundle({str(made)!r}).predict([{str(image)!r}])[0].image)
sys.exit(' '.join(name for name in ('ray', 'optuna', 'search', 'analysis', 'onnx') if name in sys.modules) or None)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, str(image)), done.stderr


def test_a_bad_image_does_not_stop_the_others(made: Path, squares: Path, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no image")
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    good = squares / "images" / "0.png"
    files = [tmp_path / "text.jpg", good, *(tmp_path / f"{name}.png" for name in ("absent", "empty", "pipe"))]
    predictions = load_bundle(made).predict(files)
    reasons = [prediction.rejected for prediction in predictions]
    assert reasons == ["not an image of a known format", "", "absent", "empty file", "not a regular file"]
    assert [bool(prediction.probabilities) for prediction in predictions] == [False, True, False, False, False]


def _facts(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    def edit(folder: Path) -> None:
        facts = json.loads((folder / FACTS).read_text())
        change(facts)
        (folder / FACTS).write_text(json.dumps(facts))

    return edit


def _pickled(folder: Path) -> None:
    """A pickle that would leave a file behind, under the name and the digest of the weights."""

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return open, (str(folder / "sprung"), "w")

    (folder / MODEL).write_bytes(pickle.dumps(Trap()))
    _facts(lambda facts: facts["files"].update({MODEL: file_digest(folder / MODEL)}))(folder)


def _other_labels(folder: Path) -> None:
    write_bundle(folder / "other", classes=("a", "b", "c", "d"))
    (folder / "other" / MODEL).replace(folder / MODEL)
    _facts(lambda facts: facts["files"].update({MODEL: file_digest(folder / MODEL)}))(folder)


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no facts": (lambda folder: (folder / FACTS).unlink(), "not a bundle: it holds no bundle.json"),
    "no weights": (lambda folder: (folder / MODEL).unlink(), "model.safetensors: this file of the bundle is missing"),
    "other bytes": (
        lambda folder: (folder / MODEL).write_bytes((folder / MODEL).read_bytes() + b"x"),
        "model.safetensors: is not the file that this bundle was made with (its SHA-256 differs)",
    ),
    "a stray ONNX": (lambda folder: (folder / ONNX).write_bytes(b""), "model.onnx: does not belong to this bundle"),
    "no JSON": (lambda folder: (folder / FACTS).write_text("{"), "bundle.json: damaged"),
    "a list": (lambda folder: (folder / FACTS).write_text("[]"), "its format must be a number, got None"),
    "of tomorrow": (
        _facts(lambda facts: facts.update(format=FORMAT + 1)),
        f"format: has format {FORMAT + 1}, this Thaw reads up to {FORMAT}; install a newer Thaw",
    ),
    "no digests": (_facts(lambda facts: facts.pop("files")), "bundle.json: damaged: KeyError('files')"),
    "unlisted": (_facts(lambda facts: facts["files"].pop(MODEL)), "files: lists no model.safetensors"),
    "fewer classes": (_facts(lambda facts: facts["classes"].pop()), "ids: must be for the 2 labels in `classes`"),
    "a rule for others": (
        _facts(lambda facts: (facts["rule"]["thresholds"].pop(), facts["rule"]["calibration"].pop())),
        "rule: must be for the 3 labels in `classes`, got 2",
    ),
    "other weights": (_other_labels, "the weights are not those of convnet with 3 labels at 64 pixels: size mismatch"),
    "another size": (
        _facts(lambda facts: facts["model"].update(image_size=32)),
        "the weights are not those of convnet with 3 labels at 32 pixels",
    ),
    "a text for a size": (
        _facts(lambda facts: facts["model"].update(image_size="64")),
        "model.image_size: must be a whole",
    ),
    "an extra fact": (_facts(lambda facts: facts["model"].update(colour=1)), "model: does not describe a model"),
    "unknown network": (_facts(lambda facts: facts["model"].update(architecture="mobilenet")), "unknown architecture"),
    "a pickle": (_pickled, "model.safetensors: holds no weights in safetensors format"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_reported(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    write_bundle(folder)
    harm, message = DAMAGES[damage]
    harm(folder)
    with pytest.raises(ConfigError) as caught:
        load_bundle(folder)
    assert message in str(caught.value) and str(folder) in str(caught.value)
    assert not (folder / "sprung").exists(), "something was unpickled"


def test_a_card_may_be_edited(tmp_path: Path) -> None:
    write_bundle(tmp_path / "bundle")
    (tmp_path / "bundle" / "MODEL_CARD.md").write_text("# Ours\n")
    assert load_bundle(tmp_path / "bundle").classes == CLASSES
