"""Folders saved by Hugging Face's `datasets` are data sets, with labels and splits."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.searches import small_search
from thaw.search.prepare.data_set import data_facts, load_dataset
from thaw.search.settings.config import config_from
from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.provided import read_saved
from thaw.trainables.data.reading import Reading
from thaw.trainables.data.saved_dataset import SavedDataset, is_saved_dataset

datasets = pytest.importorskip("datasets")
NAMES = ["red", "green", "blue"]


def pictures(count: int) -> list[dict[str, Any]]:
    found = []
    for number in range(count):
        content = io.BytesIO()
        pixels = np.zeros((32, 32, 3), np.uint8)
        pixels[8:24, 8:24, number % 3] = 255 - number
        Image.fromarray(pixels).save(content, "PNG")
        found.append({"bytes": content.getvalue(), "path": None})
    return found


def saved(folder: Path, label: Any, labels: list[Any], **others: list[Any]) -> Path:
    columns = {"image": pictures(len(labels)), "label": labels, **others}
    kinds = {name: datasets.Value("string") for name in others}
    features = datasets.Features({"image": datasets.Image(), "label": label, **kinds})
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(folder))
    return folder


def sets(dataset: Dataset) -> list[set[str]]:
    return [{name for name, given in zip(dataset.classes, row, strict=True) if given} for row in dataset.labels]


def test_numbers_get_their_names_and_other_columns_group(tmp_path: Path) -> None:
    folder = saved(tmp_path / "d", datasets.ClassLabel(names=NAMES), [0, 1, 2, 1, -1], camera=["a", "b", "a", "b", "b"])
    assert is_saved_dataset(folder) and not is_saved_dataset(tmp_path)
    dataset = read_saved(folder, Reading())
    assert sets(dataset) == [{"red"}, {"green"}, {"blue"}, {"green"}, set()]
    assert dataset.columns["camera"].tolist() == ["a", "b", "a", "b", "b"] and dataset.parts is None
    assert dataset.source is not None
    picture = np.asarray(dataset.source.decode(1))
    assert picture.shape == (32, 32, 3) and picture[16, 16].tolist() == [0, 254, 0]


def test_images_that_were_kept_as_bytes_are_decoded(tmp_path: Path) -> None:
    columns = {"image": pictures(2), "label": ["a", "b"]}
    features = datasets.Features({"image": datasets.Image(decode=False), "label": datasets.Value("string")})
    datasets.Dataset.from_dict(columns, features=features).save_to_disk(str(tmp_path / "d"))
    assert np.asarray(SavedDataset(tmp_path / "d").decode(0))[16, 16].tolist() == [255, 0, 0]


def test_several_labels_an_image(tmp_path: Path) -> None:
    several = datasets.List(datasets.ClassLabel(names=NAMES))
    assert sets(read_saved(saved(tmp_path / "d", several, [[0, 1], [], [2]]), Reading())) == [
        {"red", "green"},
        set(),
        {"blue"},
    ]
    text = saved(tmp_path / "t", datasets.Value("string"), ["cat", "dog", None])
    assert sets(read_saved(text, Reading())) == [{"cat"}, {"dog"}, set()]


def test_splits_stay_apart(tmp_path: Path) -> None:
    for name, count in (("train", 6), ("validation", 3), ("test", 3)):
        saved(tmp_path / "made" / name, datasets.ClassLabel(names=NAMES), [number % 3 for number in range(count)])
    parts = {name: datasets.load_from_disk(str(tmp_path / "made" / name)) for name in ("train", "validation", "test")}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "all"))
    config = config_from({"name": "saved", "data": {"images": str(tmp_path / "all")}})
    dataset = load_dataset(config)
    assert data_facts(config, dataset).split == {"train": 6, "validation": 3, "test": 3}
    assert len(dataset.files) == 12


def test_its_pickle_is_small_and_its_digest_depends_on_its_content(tmp_path: Path) -> None:
    folder = saved(tmp_path / "d", datasets.ClassLabel(names=NAMES), [0, 1, 2])
    source = SavedDataset(folder)
    sent = pickle.dumps(source)
    assert len(sent) < 2000
    other = pickle.loads(sent)
    assert np.array_equal(np.asarray(other.decode(2)), np.asarray(source.decode(2)))
    assert other.digest == source.digest == SavedDataset(folder).digest
    changed = saved(tmp_path / "e", datasets.ClassLabel(names=NAMES), [0, 1, 1])
    assert SavedDataset(changed).digest != source.digest


@pytest.mark.parametrize(
    ("reading", "message"),
    [
        (Reading(image="photo"), r"columns.image: no column 'photo'; choose from image, label"),
        (Reading(labels=("what",)), r"columns.labels: no column 'what'; choose from image, label"),
    ],
)
def test_columns_that_are_not_there_are_reported(tmp_path: Path, reading: Reading, message: str) -> None:
    folder = saved(tmp_path / "d", datasets.ClassLabel(names=NAMES), [0, 1, 2])
    with pytest.raises(ConfigError, match=message):
        read_saved(folder, reading)


def test_a_damaged_folder_is_reported(tmp_path: Path) -> None:
    folder = saved(tmp_path / "d", datasets.ClassLabel(names=NAMES), [0, 1, 2])
    for file in folder.glob("*.arrow"):
        file.write_bytes(b"no table")
    with pytest.raises(ConfigError, match="cannot be read by datasets"):
        read_saved(folder, Reading())


def test_a_search_takes_it(tmp_path: Path, squares: Path, cache: Path) -> None:
    folder = saved(tmp_path / "d", datasets.ClassLabel(names=NAMES), [number % 3 for number in range(60)])
    run = small_search(
        tmp_path,
        squares,
        cache,
        data={"images": str(folder), "labels": None},
        space={"learning_rate": [0.003]},
        training={"epochs": 1},
    )
    assert run.best is not None and run.folder.provenance()["data"]["classes"] == ["blue", "green", "red"]
