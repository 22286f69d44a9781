"""Images, labels and weights of a run may move, but their content must not change."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from torchvision import models

from tests.searches import search_file
from thaw.analysis.run_folder import RunFolder
from thaw.search.prepare.preflight import Prepared, prepare
from thaw.search.prepare.same_inputs import check_same_inputs
from thaw.search.sessions.resume import changed_config
from thaw.search.sessions.tuner import write_inputs
from thaw.search.settings.config import load_config
from thaw.spaces import ConfigError


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path, resnet18_file: Path) -> RunFolder:
    """The folder of a run that has begun, with a split by a column and weights from a file."""
    place = tmp_path_factory.mktemp("begun")
    lines = (squares / "labels.csv").read_text().splitlines()
    patients = [f"{line},{i // 2}" for i, line in enumerate(lines[1:])]
    (place / "labels.csv").write_text("\n".join([f"{lines[0]},patient", *patients]))
    space = {"architecture": ["convnet", "resnet18"], "freeze_depth": [5]}
    data = {"labels": str(place / "labels.csv"), "split": {"group": "patient"}}
    weights = {"resnet18": str(resnet18_file)}
    file = search_file(place, squares, cache, data=data, space=space, training={"architecture": None}, weights=weights)
    folder = RunFolder(place / "results" / "squares")
    folder.create()
    write_inputs(folder, prepare(load_config(file)))
    return folder


@pytest.fixture
def moved(begun: RunFolder, squares: Path, resnet18_file: Path, tmp_path: Path) -> tuple[RunFolder, dict[str, Path]]:
    """A copy of the run, and where images, labels and weights lie now, by key."""
    shutil.copytree(begun.path, tmp_path / "run")
    shutil.copytree(squares / "images", tmp_path / "elsewhere" / "pictures")
    labels, weights = tmp_path / "elsewhere" / "table.csv", tmp_path / "elsewhere" / "network.pth"
    shutil.copy(begun.settings()["data"]["labels"], labels)
    shutil.copy(resnet18_file, weights)
    places = {"data.images": tmp_path / "elsewhere" / "pictures", "data.labels": labels, "weights.resnet18": weights}
    return RunFolder(tmp_path / "run"), places


def _prepared(folder: RunFolder, places: dict[str, Path]) -> Prepared:
    return prepare(changed_config(folder, [f"{key}={place}" for key, place in places.items()]))


def test_all_inputs_may_move(moved: tuple[RunFolder, dict[str, Path]]) -> None:
    folder, places = moved
    check_same_inputs(folder, _prepared(folder, places))


def _other_image(places: dict[str, Path]) -> None:
    shutil.copy(places["data.images"] / "1.png", places["data.images"] / "0.png")


def _damaged_image(places: dict[str, Path]) -> None:
    file = places["data.images"] / "7.png"
    file.write_bytes(file.read_bytes()[:100])


def _other_patients(places: dict[str, Path]) -> None:
    lines = places["data.labels"].read_text().splitlines()
    rows = [f"{line.rpartition(',')[0]},{i % 5}" for i, line in enumerate(lines[1:])]
    places["data.labels"].write_text("\n".join([lines[0], *rows]))


def _other_weights(places: dict[str, Path]) -> None:
    torch.manual_seed(7)
    torch.save(models.resnet18(weights=None).state_dict(), places["weights.resnet18"])


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        (_other_image, "data", r"images or labels have changed since the run began \(fingerprint .* instead of .*\)"),
        (_damaged_image, "data", r"\(119 usable images instead of 120; 7.png: damaged: .*\), so its results"),
        (_other_patients, "data.split", "the training and validation images have changed since the run began"),
        (_other_weights, "weights.resnet18", "the weights or the code of resnet18 are not those"),
    ],
)
def test_content_decides(change: Any, key: str, message: str, moved: tuple[RunFolder, dict[str, Path]]) -> None:
    folder, places = moved
    change(places)
    with pytest.raises(ConfigError, match=message) as error:
        check_same_inputs(folder, _prepared(folder, places))
    assert error.value.key == key and error.value.file == str(folder.search_file)


def test_another_version_may_have_read_the_same_data_differently(moved: tuple[RunFolder, dict[str, Path]]) -> None:
    folder, places = moved
    folder.write_text(folder.provenance_file, json.dumps({**folder.provenance(), "thaw": "0.1.0"}))
    check_same_inputs(folder, _prepared(folder, places))
    _other_image(places)
    with pytest.raises(ConfigError, match="or Thaw .* reads them differently from 0.1.0.*continue with that version"):
        check_same_inputs(folder, _prepared(folder, places))


def test_a_run_that_did_not_look_for_equal_images_continues_without(moved: tuple[RunFolder, dict[str, Path]]) -> None:
    folder, _ = moved
    assert changed_config(folder, []).data.split.duplicates == "together"
    with pytest.raises(ConfigError, match="it stays 'together', got 'apart'"):
        changed_config(folder, ["data.split.duplicates=apart"])
    text = folder.search_file.read_text()
    folder.search_file.write_text(text.replace("    duplicates: together\n", ""))
    assert folder.search_file.read_text() != text, "as 0.1.0 wrote it"
    assert changed_config(folder, []).data.split.duplicates == "apart"
    with pytest.raises(ConfigError, match="it stays 'apart', got 'together'"):
        changed_config(folder, ["data.split.duplicates=together"])


def test_a_run_that_records_no_weights_keeps_their_place(moved: tuple[RunFolder, dict[str, Path]]) -> None:
    folder, places = moved
    content = folder.provenance()
    del content["weights"], content["data"]["split"]
    folder.write_text(folder.provenance_file, json.dumps(content))
    weights = places.pop("weights.resnet18")
    check_same_inputs(folder, _prepared(folder, places))
    with pytest.raises(ConfigError, match="does not record the content of its weights"):
        check_same_inputs(folder, _prepared(folder, {**places, "weights.resnet18": weights}))
