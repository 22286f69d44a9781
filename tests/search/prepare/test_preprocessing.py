"""Scaling and cropping follow the pretrained weights, unless the search file says otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from timm.data import create_transform

from tests.searches import small_config
from thaw.search.prepare.preprocessing import follow_weights
from thaw.search.settings.config import load_config
from thaw.spaces import ConfigError
from thaw.trainables.bundles.classifier import ClassifierFacts
from thaw.trainables.data.decoding import Square, decode_image
from thaw.trainables.networks.timm_models import CROP_MODE


def chosen(folder: Path, squares: Path, cache: Path, *names: str, **sections: Any) -> tuple[object, object, list[str]]:
    space = {"architecture": list(names), "learning_rate": {"log": [1e-4, 1e-2]}}
    settings = {"space": space, "training": {"architecture": None}, "search": {"trials": 2}} | sections
    config, notes = follow_weights(small_config(folder, squares, cache, **settings))
    return config.data.interpolation, config.data.crop_pct, notes


def resized(folder: Path, squares: Path, cache: Path, *names: str, **data: object) -> tuple[str, list[str]]:
    space = {"architecture": list(names), "learning_rate": {"log": [1e-4, 1e-2]}}
    settings = {"space": space, "training": {"architecture": None}, "search": {"trials": 2}, "data": data}
    config, notes = follow_weights(small_config(folder, squares, cache, **settings))
    return config.data.resize, [note for note in notes if "data.resize" in note]


def test_the_crop_mode_of_the_weights_is_taken(tmp_path: Path, squares: Path, cache: Path) -> None:
    squashed, padded = "timm:dm_nfnet_f0.dm_in1k", "timm:deepseek_vit_412m.deepseek_v4_1_flash"
    assert resized(tmp_path, squares, cache, "vit_small", "resnet50") == ("crop", [])
    assert resized(tmp_path, squares, cache, squashed) == ("squash", [])
    assert resized(tmp_path, squares, cache, padded) == ("pad", [])
    assert resized(tmp_path, squares, cache, squashed, resize="crop") == ("crop", [])
    note = f"the networks expect different data.resize (vit_small crop, {squashed} squash); all get crop"
    assert resized(tmp_path, squares, cache, "vit_small", squashed) == ("crop", [note])


@pytest.mark.parametrize(("resize", "crop_mode"), CROP_MODE.items())
@pytest.mark.parametrize("size", [(90, 60), (50, 75), (64, 9)])
def test_squares_are_those_of_timm(resize: str, crop_mode: str, size: tuple[int, int]) -> None:
    ramp = np.add.outer(np.arange(size[1]), np.arange(size[0]))[..., None] + [0, 20, 40]
    image, half = Image.fromarray(ramp.astype(np.uint8)), (0.5, 0.5, 0.5)
    for crop_pct in (1.0, 0.8):
        settings = {"interpolation": "bicubic", "crop_pct": crop_pct, "crop_mode": crop_mode, "mean": half, "std": half}
        expected = np.asarray(create_transform((3, 32, 32), **settings, normalize=False)(image)).transpose(1, 2, 0)
        off = np.abs(np.asarray(Square(32, resize, "bicubic", crop_pct).of(image)).astype(int) - expected)
        if resize != "crop" and crop_pct == 1.0:
            assert not off.any()
        else:  # timm crops whole pixels after scaling, so its centre may be half a pixel away
            assert np.quantile(off, 0.9) <= max(2, max(size) / 32)


def test_what_the_weights_expect_is_taken(tmp_path: Path, squares: Path, cache: Path) -> None:
    assert chosen(tmp_path, squares, cache, "mobilenet_v2", "resnet50") == ("bilinear", 0.875, [])
    assert chosen(tmp_path, squares, cache, "vit_small") == ("bicubic", 0.9, [])
    assert chosen(tmp_path, squares, cache, "timm:vit_small_patch14_dinov2") == ("bicubic", 1.0, [])


def test_without_weights_nothing_is_followed(tmp_path: Path, squares: Path, cache: Path) -> None:
    assert chosen(tmp_path, squares, cache, "convnet", "vit_small", weights="none") == ("bilinear", 1.0, [])
    assert chosen(tmp_path, squares, cache, "convnet", "efficientnet_lite0") == ("bicubic", 0.875, [])


def test_networks_that_differ_are_named_and_get_the_same_pixels(tmp_path: Path, squares: Path, cache: Path) -> None:
    *square, notes = chosen(tmp_path, squares, cache, "mobilenet_v2", "vit_small")
    assert square == ["bilinear", 1.0]
    assert notes == [
        "the networks expect different data.interpolation (mobilenet_v2 bilinear, vit_small bicubic); all get bilinear",
        "the networks expect different data.crop_pct (mobilenet_v2 0.875, vit_small 0.9); all get 1.0",
    ]


def test_what_the_file_says_stays(tmp_path: Path, squares: Path, cache: Path) -> None:
    data = {"interpolation": "lanczos", "crop_pct": 0.5}
    assert chosen(tmp_path, squares, cache, "vit_small", data=data) == ("lanczos", 0.5, [])
    with pytest.raises(ConfigError, match="data.interpolation"):
        chosen(tmp_path, squares, cache, "vit_small", data={"interpolation": "cubic"})
    with pytest.raises(ConfigError, match="data.crop_pct"):
        chosen(tmp_path, squares, cache, "vit_small", data={"crop_pct": 1.5})


def test_the_resolved_file_says_what_was_chosen(tmp_path: Path, squares: Path, cache: Path) -> None:
    config, _ = follow_weights(small_config(tmp_path, squares, cache, training={"architecture": "vit_small"}))
    (file := tmp_path / "resolved.yaml").write_text(config.to_yaml())
    assert load_config(file).data.square == Square(32, "crop", "bicubic", 0.9)


def test_the_centre_is_kept(tmp_path: Path) -> None:
    pixels = np.zeros((80, 120, 3), np.uint8)
    pixels[20:60, 40:80] = 255
    pixels[10:70, 15:105, 0] = 255
    Image.fromarray(pixels).save(tmp_path / "frames.png")
    half = decode_image(tmp_path / "frames.png", Square(40, crop_pct=0.5))
    assert (half == 255).all(), "the central half of the short side"
    squashed = decode_image(tmp_path / "frames.png", Square(40, "squash", crop_pct=0.75))
    assert (squashed[1:-1, 1:-1, 0] == 255).all() and not squashed[0, :, 1].any()


def test_filters_are_pillows(tmp_path: Path) -> None:
    random = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    (image := Image.fromarray(random)).save(tmp_path / "noise.png")
    for name, filter in (("bilinear", 2), ("bicubic", 3), ("lanczos", 1)):
        expected = np.asarray(image.resize((24, 24), Image.Resampling(filter)))
        assert np.array_equal(decode_image(tmp_path / "noise.png", Square(24, interpolation=name)), expected), name


def test_an_old_bundle_scales_as_before() -> None:
    facts = {"architecture": "convnet", "classes": 2, "head_units": 0, "image_size": 32, "resize": "crop"}
    plain = ClassifierFacts.from_dict(facts | {"mean": [0, 0, 0], "std": [1, 1, 1]})
    assert plain.square == Square(32, "crop", "bilinear", 1.0)
    later = ClassifierFacts.from_dict(plain.to_dict() | {"interpolation": "bicubic", "crop_pct": 0.9})
    assert later.square == Square(32, "crop", "bicubic", 0.9)
    for wrong in ({"interpolation": "best"}, {"crop_pct": 0}, {"crop_pct": "all"}):
        with pytest.raises(ConfigError, match="does not describe a model"):
            ClassifierFacts.from_dict(plain.to_dict() | wrong)
