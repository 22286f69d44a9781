"""Checks before a search starts: images, splits, weights, resources, and the data's fingerprint."""

from __future__ import annotations

import csv
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.searches import small_config, small_search
from thaw.search.prepare.preflight import Prepared, prepare
from thaw.search.prepare.provenance import provenance
from thaw.search.prepare.resources import Available, resolve_resources
from thaw.spaces import ConfigError

IMAGES = 20
ACCURACY = {"algorithm": "grid", "metric": "val_accuracy"}


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """20 JPEG files in two colours, with a split column and a group column of five images a group."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    lines = ["filename,labels,part,patient"]
    for i in range(IMAGES):
        pixels = rng.integers(0, 100, (40, 40, 3), dtype=np.uint8)
        pixels[..., i % 2] += 120
        Image.fromarray(pixels).save(tmp_path / "images" / f"{i}.jpg")
        part = "validation" if i in (3, 8, 11, 16) else "test" if i in (4, 5) else "train"
        lines.append(f"{i}.jpg,{('red', 'green')[i % 2]},{part},patient {i // 5}")
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    return tmp_path


def prepared(photos: Path, cache: Path, **data: Any) -> Prepared:
    return prepare(small_config(photos, photos, cache, data=data))


def truncate(photos: Path, number: int) -> None:
    file = photos / "images" / f"{number}.jpg"
    file.write_bytes(file.read_bytes()[:400])


def test_a_few_bad_images_are_left_out_and_listed(photos: Path, cache: Path) -> None:
    truncate(photos, 7)
    (photos / "images" / "9.jpg").unlink()
    run = small_search(
        photos, photos, cache, data={"max_rejected": 0.1}, space={"dropout": [0.0]}, training={"epochs": 1}
    )
    assert list(run.trials["status"]) == ["completed"]
    with run.folder.rejected_file.open(newline="") as file:
        rows = {row["file"]: row["reason"] for row in csv.DictReader(file)}
    assert set(rows) == {"7.jpg", "9.jpg"}
    assert rows["7.jpg"].startswith("damaged: ") and rows["9.jpg"] == "absent"
    data = run.folder.provenance()["data"]
    assert data["rejected"] == 2 and sum(data["images"].values()) == IMAGES - 2


def test_a_label_folder_that_is_empty_after_decoding_is_refused(photos: Path, cache: Path) -> None:
    for i in range(IMAGES):
        place = photos / "folders" / ("wasp" if i == 7 else ("ant", "bee")[i % 2])
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / "images" / f"{i}.jpg", place)
    (photos / "folders" / "wasp" / "7.jpg").write_bytes(b"no image")
    data = {"images": str(photos / "folders"), "labels": None}
    with pytest.raises(ConfigError, match="no image in the folder of 'wasp' can be used .not an image of a known form"):
        prepared(photos, cache, max_rejected=0.1, **data)


def test_the_limit_of_bad_images_decides(photos: Path, cache: Path) -> None:
    truncate(photos, 7)
    result = prepared(photos, cache, max_rejected=0.05)
    assert [file for file, _ in result.rejected] == ["7.jpg"]
    rows = np.concatenate([result.context.split.train, result.context.split.validation, result.context.split.test])
    assert sorted(rows.tolist()) == [i for i in range(IMAGES) if i != 7]
    with pytest.raises(ConfigError, match=r"data\.max_rejected: at most 4% .* 1 of 20 are \(7\.jpg: damaged: .*"):
        prepared(photos, cache, max_rejected=0.04)
    truncate(photos, 12)
    with pytest.raises(ConfigError, match=r"data\.max_rejected: at most 5% .* 2 of 20 are"):
        prepared(photos, cache, max_rejected=0.05)


def test_absent_images_count_as_bad(photos: Path, cache: Path) -> None:
    (photos / "images" / "9.jpg").unlink()
    assert prepared(photos, cache).rejected == [("9.jpg", "absent")]
    with pytest.raises(ConfigError, match=r"data\.images: .* names 1 image .*first: 9\.jpg"):
        prepared(photos, cache, max_rejected=0.0)


def test_a_split_column_decides(photos: Path, cache: Path) -> None:
    split = prepared(photos, cache, split={"column": "part"}).context.split
    assert split.validation.tolist() == [3, 8, 11, 16] and split.test.tolist() == [4, 5]
    assert split.train.tolist() == [i for i in range(IMAGES) if i not in (3, 4, 5, 8, 11, 16)]


def test_groups_stay_together(photos: Path, cache: Path) -> None:
    split = prepared(photos, cache, split={"group": "patient", "validation": 0.25, "test": 0.25}).context.split
    groups = [{int(row) // 5 for row in rows} for rows in (split.train, split.validation, split.test)]
    assert [len(part) for part in groups] == [2, 1, 1] and set.union(*groups) == {0, 1, 2, 3}


def test_a_validation_split_without_labels_is_refused(photos: Path, cache: Path) -> None:
    lines = [f"{i}.jpg,{('red', 'green')[i % 2] if i > 2 else ''},{'train' if i > 2 else 'val'}" for i in range(IMAGES)]
    (photos / "labels.csv").write_text("filename,labels,part\n" + "\n".join(lines))
    with pytest.raises(ConfigError, match=r"data\.split: no validation image has a label"):
        prepared(photos, cache, split={"column": "part"})


def test_the_fingerprint_is_of_pixels_and_labels(photos: Path, cache: Path) -> None:
    first = prepared(photos, cache).fingerprint
    file = photos / "images" / "0.jpg"
    os.utime(file, (1, 1))
    assert prepared(photos, cache).fingerprint == first, "a date is no content"

    other = photos / "elsewhere"
    other.mkdir()
    shutil.copytree(photos / "images", other / "images")
    shutil.copy(photos / "labels.csv", other)
    assert prepared(other, cache).fingerprint == first, "nor is a place"

    pixels = np.asarray(Image.open(other / "images" / "0.jpg")).copy()
    pixels[20, 20] ^= 255
    Image.fromarray(pixels).save(other / "images" / "0.jpg", quality=100)
    assert prepared(other, cache).fingerprint != first

    text = (photos / "labels.csv").read_text()
    (photos / "labels.csv").write_text(text.replace("0.jpg,red,", "0.jpg,red green,", 1))
    assert prepared(photos, cache).fingerprint != first


def test_weights_that_cannot_be_fetched_are_reported_quickly(
    photos: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An empty cache, and a proxy that refuses every connection.
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    started = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        prepare(small_config(photos, photos, cache, training={"architecture": "resnet18"}))
    assert time.monotonic() - started < 10
    message = str(caught.value)
    assert message.startswith("weights: cannot get https://download.pytorch.org/models/resnet18-f37072fd.pth")
    assert str(tmp_path / "torch" / "hub" / "checkpoints" / "resnet18-f37072fd.pth") in message
    assert "`weights: {resnet18: path/to/state_dict.pth}`" in message


@pytest.mark.parametrize(
    ("resources", "concurrency"),
    [
        ({"cpu": 1, "gpu": 0.25}, 8),  # 4 on each of 2 GPUs, and 8 processors
        ({"cpu": 2, "gpu": 0.25}, 4),
        ({"cpu": 1, "gpu": 0.4}, 4),  # 2 on each: a share is never spread over two GPUs
        ({"cpu": 1, "gpu": 1}, 2),
        ({"cpu": 1}, 2),  # with a GPU there, a trial takes a whole one
        ({"cpu": 3, "gpu": 0}, 2),
    ],
)
def test_how_many_trials_fit(
    tmp_path: Path, squares: Path, cache: Path, resources: dict[str, float], concurrency: int
) -> None:
    space = {"dropout": {"float": [0.0, 0.5], "step": 0.05}}
    config = small_config(tmp_path, squares, cache, resources=resources, space=space)
    resolved = resolve_resources(config, [Available(cpus=8, gpus=2)])
    assert resolved.search.concurrency == concurrency
    assert resolved.resources.gpu == resources.get("gpu", 1) and resolved.search.trials == 11


def test_concurrency_is_at_most_the_number_of_trials(tmp_path: Path, squares: Path, cache: Path) -> None:
    config = small_config(tmp_path, squares, cache, space={"dropout": [0.0, 0.1, 0.2]})
    assert resolve_resources(config, [Available(cpus=8, gpus=0)]).search.concurrency == 3
    assert resolve_resources(config, [Available(cpus=8, gpus=0)]).resources.gpu == 0


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"resources": {"cpu": 9}}, r"resources\.cpu: a trial requests 9, there are 8 processors"),
        ({"search": {"algorithm": "grid", "concurrency": 9}}, r"search\.concurrency: only 2 trials fit at once, got 9"),
    ],
)
def test_requests_beyond_the_machine_are_refused(
    tmp_path: Path, squares: Path, cache: Path, sections: dict[str, Any], message: str
) -> None:
    config = small_config(tmp_path, squares, cache, **sections)
    with pytest.raises(ConfigError, match=message):
        resolve_resources(config, [Available(cpus=8, gpus=2)])


def test_a_node_that_cannot_read_an_image_says_so(tmp_path: Path, squares: Path) -> None:
    """A worker decodes on its own node, where an image may be missing; its zeros must not be used."""
    shutil.copytree(squares, tmp_path / "data")
    context = prepare(small_config(tmp_path, tmp_path / "data", tmp_path / "cache")).context
    file = context.images.files[context.split.train[0]]
    (tmp_path / "data" / "images" / file).unlink()
    with pytest.raises(ConfigError, match=f"1 image .* cannot be read on this node .first: {file}: absent"):
        context.open_images()


def test_the_scale_of_grey_images_is_recorded(photos: Path, cache: Path) -> None:
    for i in range(0, IMAGES, 2):
        values = np.random.default_rng(i).integers(0, 3000, (40, 40)).astype(np.uint16)
        (photos / "images" / f"{i}.jpg").unlink()
        Image.fromarray(values).save(photos / "images" / f"{i}.jpg", "PNG")
    found = prepared(photos, cache)
    assert found.images.grey.scales == {"integer": (0, 4095)}
    assert provenance(found)["data"]["grey"]["scales"] == found.images.grey.scales
    assert json.loads(json.dumps(provenance(found)["data"]["grey"]))["extents"]["integer"]["images"] == IMAGES // 2
    other = prepared(photos, cache, white=[100, 2000])
    assert other.images.grey.scales == {"integer": (100, 2000)} and other.fingerprint != found.fingerprint
    with pytest.raises(ConfigError, match="data.white: must be .black, white. with black below white"):
        prepared(photos, cache, white=[5, 5])


def test_one_label_per_training_image_is_noticed_and_measured(photos: Path, cache: Path) -> None:
    accuracies = ["accuracy", "balanced_accuracy"]
    found = prepare(small_config(photos, photos, cache, data={"split": {"column": "part"}}, search=ACCURACY))
    assert found.context.single_label and provenance(found)["data"]["single_label"] is True
    assert all(list(row)[-2:] == accuracies for row in found.trivial.values())
    rows = (photos / "labels.csv").read_text()
    # Images outside the training split may have several labels; then no prediction is right.
    (photos / "labels.csv").write_text(rows.replace("3.jpg,green,val", "3.jpg,green red,val"))
    assert prepare(small_config(photos, photos, cache, data={"split": {"column": "part"}})).context.single_label
    (photos / "labels.csv").write_text(rows.replace("0.jpg,red,train", "0.jpg,green red,train"))
    several = prepare(small_config(photos, photos, cache, data={"split": {"column": "part"}}))
    assert not several.context.single_label and not set(accuracies) & {*several.trivial["nothing"]}


def test_accuracy_as_objective_needs_one_label_per_image(photos: Path, cache: Path) -> None:
    file = photos / "labels.csv"
    with pytest.raises(ConfigError, match=r"search.metric: val_top5_accuracy needs 10 labels or more.*val_accuracy"):
        prepare(small_config(photos, photos, cache, search={**ACCURACY, "metric": "val_top5_accuracy"}))
    file.write_text(file.read_text().replace("0.jpg,red,train", "0.jpg,green red,train"))
    with pytest.raises(ConfigError, match=r"search.metric: val_accuracy needs exactly one label on every training ima"):
        prepare(small_config(photos, photos, cache, data={"split": {"column": "part"}}, search=ACCURACY))


def test_own_weights_say_how_they_fit(tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path) -> None:
    settings = {"weights": {"resnet18": str(resnet18_file)}, "training": {"architecture": "resnet18"}}
    prepared = prepare(small_config(tmp_path, squares, cache, **settings))
    fit = f"resnet18: 120 of 120 tensors matched, from {resnet18_file}"
    assert fit in prepared.facts.lines()
    assert (prepared.config.data.interpolation, prepared.config.data.crop_pct) == ("bilinear", 0.875)
