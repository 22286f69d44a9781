"""The ONNX file agrees with PyTorch, for every architecture and any number of images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from tests.bundles import CLASSES, SIDE, model_facts, random_network, some_rule
from tests.conftest import needs_photos, thaw_data
from tests.trainables.networks.test_table import TIMM
from thaw.spaces import ConfigError
from thaw.trainables.bundles import onnx_export
from thaw.trainables.bundles.classifier import Classifier, build_classifier
from thaw.trainables.bundles.onnx_export import export_onnx, onnx_probabilities, require_onnx
from thaw.trainables.bundles.predict import store_logits
from thaw.trainables.data.decoding import Square, decode_image
from thaw.trainables.networks.backbone import resolve
from thaw.trainables.networks.table import ARCHITECTURES, FROM_TIMM

QUICK = ("convnet", "mobilenet_v2", "timm:convnext_atto")
"""Architectures that differ most; the others take a few seconds each."""

ATOL = 2e-3
"""Of probabilities. Random networks amplify rounding; trained ones agree to about 1e-5, different ones not at all."""

PIXELS = np.random.default_rng(0).integers(0, 256, (40, SIDE, SIDE, 3), dtype=np.uint8)


def random_classifier(name: str, spread: float = 2.0) -> Classifier:
    """A classifier whose logits on `PIXELS` are about as far from zero as `spread`."""
    classifier = build_classifier(model_facts(name), random_network(name).trained_state())
    logits = store_logits(classifier, PIXELS, np.arange(8), torch.device("cpu"))
    last = classifier.get_submodule("head")[-1]  # type: ignore[index]
    for parameter in last.parameters():
        parameter.mul_(spread / np.abs(logits).mean())
    return classifier


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in (*ARCHITECTURES, *TIMM)]
)
def test_every_architecture_is_the_same_in_onnx(name: str, tmp_path: Path) -> None:
    classifier, rule = random_classifier(name), some_rule()
    export_onnx(tmp_path / "model.onnx", classifier, rule, CLASSES, Square(SIDE))
    for images in (1, 5):
        logits = store_logits(classifier, PIXELS, np.arange(images), torch.device("cpu"))
        found = onnx_probabilities(tmp_path / "model.onnx", PIXELS[:images])
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, rule.probabilities(logits), atol=ATOL)


@pytest.mark.parametrize("name", ["timm:test_vit", *(pytest.param(name, marks=pytest.mark.slow) for name in FROM_TIMM)])
def test_networks_of_timm_are_the_same_in_onnx_for_any_number_of_images(name: str, tmp_path: Path) -> None:
    side = 56 if name.startswith("dinov2") else SIDE  # patches of 14 pixels
    torch.manual_seed(0)
    backbone, rule = resolve(name, "none", side), some_rule()
    layers = {**backbone.random_layers(), "head": backbone.head(len(CLASSES), 0, 0.0)}
    classifier = Classifier(layers, backbone.preprocessing.mean, backbone.preprocessing.std)
    export_onnx(tmp_path / "model.onnx", classifier, rule, CLASSES, Square(side))
    pixels = PIXELS[:3, :side, :side]
    expected = rule.probabilities(store_logits(classifier, pixels, np.arange(3), torch.device("cpu")))
    np.testing.assert_allclose(onnx_probabilities(tmp_path / "model.onnx", pixels), expected, atol=1e-4)


def test_softmax_and_calibration_are_inside(tmp_path: Path) -> None:
    # Logits far apart: one probability near 1, whose complement must not be rounded away.
    classifier, rule = random_classifier("convnet", spread=20), some_rule(activation="softmax")
    export_onnx(tmp_path / "model.onnx", classifier, rule, CLASSES, Square(SIDE))
    logits = store_logits(classifier, PIXELS, np.arange(len(PIXELS)), torch.device("cpu"))
    assert (np.ptp(logits, axis=1) > 15).any()
    found = onnx_probabilities(tmp_path / "model.onnx", PIXELS)
    np.testing.assert_allclose(found, rule.probabilities(logits), atol=1e-5)


def test_the_file_says_what_goes_in_and_out(tmp_path: Path) -> None:
    rule = replace(some_rule(), policy="at_most", k=2)
    export_onnx(tmp_path / "model.onnx", random_classifier("convnet"), rule, CLASSES, Square(SIDE))
    model = onnx.load(str(tmp_path / "model.onnx"))
    onnx.checker.check_model(model, full_check=True)
    (pixels,), (probabilities,) = model.graph.input, model.graph.output
    assert (pixels.name, pixels.type.tensor_type.elem_type) == ("pixels", onnx.TensorProto.UINT8)
    assert [side.dim_param or side.dim_value for side in pixels.type.tensor_type.shape.dim] == ["images", SIDE, SIDE, 3]
    assert (probabilities.name, probabilities.type.tensor_type.shape.dim[0].dim_param) == ("probabilities", "images")
    properties = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert Square(**properties.pop("square")) == Square(SIDE)
    assert properties == {
        "classes": list(CLASSES),
        "thresholds": rule.thresholds.tolist(),
        "policy": "at_most",
        "k": 2,
    }


@needs_photos
def test_it_is_the_same_on_photos(tmp_path: Path) -> None:
    data = thaw_data()
    assert data is not None
    files = sorted((data / "coco18" / "images").iterdir())[:20]
    pixels = np.stack([decode_image(file, Square(SIDE)) for file in files])
    classifier, rule = random_classifier("mobilenet_v2"), some_rule()
    export_onnx(tmp_path / "model.onnx", classifier, rule, CLASSES, Square(SIDE))
    logits = store_logits(classifier, pixels, np.arange(len(files)), torch.device("cpu"))
    found = onnx_probabilities(tmp_path / "model.onnx", pixels)
    np.testing.assert_allclose(found, rule.probabilities(logits), atol=ATOL)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require_onnx()
    monkeypatch.setattr(onnx_export, "PACKAGES", ("onnx", "onnx_of_another_world"))
    with pytest.raises(ConfigError, match=r"--onnx: needs the package onnx_of_another_world .* 'thaw-tune\[onnx\]'"):
        require_onnx()
