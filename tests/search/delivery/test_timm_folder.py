"""`thaw export --format timm`: timm loads the folder with its own head, and Hugging Face reads its card."""

from __future__ import annotations

import filecmp
import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from huggingface_hub import ModelCard
from PIL import Image, ImageOps
from rich.console import Console
from torchvision import transforms

from tests.conftest import needs_photos, thaw_data
from tests.searches import small_search
from thaw.analysis.run import Run
from thaw.search.cli import run as run_command
from thaw.search.delivery.export import export_run
from thaw.search.delivery.timm_folder import bundle_to_timm, metadata
from thaw.spaces import ConfigError
from thaw.trainables.bundles.bundle import FACTS, Bundle, load_bundle
from thaw.trainables.data.decoding import decode_image

QUIET = Console(file=io.StringIO())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path, resnet18_file: Path) -> Run:
    """One trial of a frozen resnet18 with a linear head."""
    training = {"architecture": "resnet18", "freeze_depth": 5, "head_units": 0, "epochs": 1}
    weights = {"resnet18": str(resnet18_file)}
    folder = tmp_path_factory.mktemp("timm")
    return small_search(
        folder,
        squares,
        cache,
        data={"crop_pct": 1},  # then scaling is the same to the pixel in timm
        space={"learning_rate": [0.003]},
        training=training,
        weights=weights,
    )


@pytest.fixture(scope="module")
def made(run: Run, tmp_path_factory: pytest.TempPathFactory) -> tuple[Bundle, Path]:
    """Its bundle, and the folder made from it for timm."""
    folder = tmp_path_factory.mktemp("made")
    export_run(run, folder / "bundle", QUIET)
    bundle_to_timm(folder / "bundle", folder / "timm", QUIET)
    return load_bundle(folder / "bundle", "cpu"), folder / "timm"


@torch.no_grad()
def logits_of(folder: Path, files: list[Path]) -> np.ndarray:
    """Predictions as a user of timm makes them."""
    model = timm.create_model(f"local-dir:{folder}", pretrained=True).eval()
    transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model), is_training=False)
    images = [ImageOps.exif_transpose(Image.open(file)).convert("RGB") for file in files]
    return model(torch.stack([transform(image) for image in images])).numpy()


def test_timm_loads_it_with_its_head_and_its_preprocessing(made: tuple[Bundle, Path], squares: Path) -> None:
    bundle, folder = made
    assert sorted(file.name for file in folder.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    files = sorted((squares / "images").iterdir())[:8]
    pixels = np.stack([decode_image(file, bundle.model.square) for file in files])
    with torch.no_grad():
        expected = bundle.classifier(torch.from_numpy(pixels)).numpy()
    np.testing.assert_allclose(logits_of(folder, files), expected, atol=1e-5, rtol=1e-5)
    model = timm.create_model(f"local-dir:{folder}", pretrained=True)
    assert model.pretrained_cfg["label_names"] == list(bundle.classes)
    assert json.loads((folder / "config.json").read_text())["thaw"]["rule"] == bundle.facts["rule"]


@needs_photos
def test_logits_of_photos_agree_after_timms_own_preprocessing(made: tuple[Bundle, Path]) -> None:
    bundle, folder = made
    data = thaw_data()
    assert data is not None
    files = sorted((data / "coco18" / "images").iterdir())[:12]
    size = bundle.model.image_size
    square = transforms.Compose([transforms.Resize(size), transforms.CenterCrop(size)])
    cropped = [np.asarray(square(Image.open(file).convert("RGB"))) for file in files]
    with torch.no_grad():
        expected = bundle.classifier(torch.from_numpy(np.stack(cropped))).numpy()
    np.testing.assert_allclose(logits_of(folder, files), expected, atol=1e-5, rtol=1e-5)


def test_a_run_is_exported_as_its_bundle_would_be(
    run: Run, made: tuple[Bundle, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def export(place: Path, to: Path) -> int:
        monkeypatch.setattr(sys, "argv", ["thaw", "export", str(place), "--to", str(to), "--format", "timm"])
        return run_command()

    assert export(run.folder.path, tmp_path / "timm") == 0
    assert filecmp.cmp(tmp_path / "timm" / "model.safetensors", made[1] / "model.safetensors", shallow=False)
    assert export(made[0].path, tmp_path / "again") == 0
    assert filecmp.cmp(tmp_path / "again" / "config.json", made[1] / "config.json", shallow=False)


def test_hugging_face_reads_the_card(made: tuple[Bundle, Path]) -> None:
    bundle, folder = made
    card = ModelCard.load(folder / "README.md")
    assert (card.data.library_name, card.data.pipeline_tag) == ("timm", "image-classification")
    # The weights are a file of the user with an unknown licence.
    assert card.data.license is None and card.data.base_model is None
    found = {result.metric_type: result.metric_value for result in card.data.eval_results}
    expected = {name: one["value"] for name, one in bundle.facts["test"]["metrics"].items()}
    assert found == pytest.approx(expected, abs=1e-4)
    assert "timm.create_model" in card.text and "thaw predict FOLDER" not in card.text


@pytest.mark.parametrize(
    ("architecture", "licence", "name", "base"),
    [
        ("vit_small", "apache-2.0", None, "timm/vit_small_patch16_224.augreg_in21k_ft_in1k"),
        ("dinov3_small", "other", "dinov3-license", "timm/vit_small_patch16_dinov3.lvd1689m"),
        ("resnet18", "bsd-3-clause", None, None),
    ],
)
def test_published_weights_pass_on_their_licence(
    made: tuple[Bundle, Path], architecture: str, licence: str, name: str | None, base: str | None
) -> None:
    facts = made[0].facts
    data = metadata({**facts, "weights": "imagenet", "model": {**facts["model"], "architecture": architecture}})
    assert (data.license, data.license_name, data.base_model) == (licence, name, base)


def test_contradictory_options_are_refused_and_the_test_split_stays_locked(grid: Run, run: Run, tmp_path: Path) -> None:
    before = grid.folder.provenance().get("test_scored")
    with pytest.raises(ConfigError, match=r"--format: timm loads only its own networks, and convnet is not one"):
        export_run(grid, tmp_path / "timm", QUIET, format="timm")
    assert grid.folder.provenance().get("test_scored") == before
    with pytest.raises(ConfigError, match=r"--onnx: goes with a bundle, not with --format timm"):
        export_run(run, tmp_path / "timm", QUIET, format="timm", onnx=True)
    with pytest.raises(ConfigError, match=r"--format: unknown format 'tim'; did you mean timm"):
        export_run(run, tmp_path / "timm", QUIET, format="tim")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("option", ["--trial 0", "--refit", "--onnx", "--target f1_micro", "--k 2", "--set seed=1"])
def test_options_for_a_run_are_refused_for_a_bundle(
    made: tuple[Bundle, Path],
    tmp_path: Path,
    option: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    to = str(tmp_path / "timm")
    command = ["thaw", "export", str(made[0].path), "--to", to, "--format", "timm", *option.split()]
    monkeypatch.setattr(sys, "argv", command)
    assert run_command() == 2
    assert f"{option.split()[0]}: is for a run" in " ".join(capsys.readouterr().err.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fact", ["test", "provenance", "weights", "validation", "created"])
def test_a_bundle_without_its_facts_is_damaged(made: tuple[Bundle, Path], tmp_path: Path, fact: str) -> None:
    shutil.copytree(made[0].path, tmp_path / "bundle")
    file = tmp_path / "bundle" / FACTS
    facts = json.loads(file.read_text())
    del facts[fact]
    file.write_text(json.dumps(facts))
    with pytest.raises(ConfigError, match=f"{FACTS}: damaged: .*{fact}.*; export the model again"):
        bundle_to_timm(tmp_path / "bundle", tmp_path / "timm", QUIET)
    assert not (tmp_path / "timm").exists()
