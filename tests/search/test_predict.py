"""Predictions for folders, patterns and lists, in files that are written completely or not at all."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from benchmarks import predict as benchmark
from tests.bundles import CLASSES, write_bundle
from thaw.search.cli import run
from thaw.search.predict import LabelChoice, predict
from thaw.spaces import ConfigError
from thaw.spaces.csv_cells import unguarded
from thaw.trainables.bundles import predict as prediction
from thaw.trainables.bundles.bundle import Bundle, load_bundle
from thaw.trainables.data.dataset import read_dataset
from thaw.trainables.data.formats import read_paper
from thaw.trainables.data.image_places import find_images
from thaw.trainables.data.label_folders import read_folders
from thaw.trainables.data.reading import Source

QUIET = Console(quiet=True)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("predict") / "bundle"
    write_bundle(folder)
    return folder


@pytest.fixture
def images(tmp_path: Path, squares: Path) -> Path:
    """40 images in a folder, three of them in a subfolder, and files that are not images."""
    folder = tmp_path / "photos"
    (folder / "deep" / "er").mkdir(parents=True)
    for number in range(40):
        place = folder / "deep" / "er" if number >= 37 else folder
        shutil.copy(squares / "images" / f"{number}.png", place)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def rows_of(file: Path, delimiter: str = ",") -> list[list[str]]:
    with file.open(newline="") as text:
        return list(csv.reader(text, delimiter=delimiter))


def test_a_folder_becomes_a_table(bundle: Path, images: Path, tmp_path: Path) -> None:
    assert predict(bundle, [str(images)], tmp_path / "out.csv", "probabilities", QUIET) == 40
    header, *rows = rows_of(tmp_path / "out.csv")
    assert header == ["image", "labels", *CLASSES]
    names = [row[0] for row in rows]
    assert len(names) == 40 and names == sorted(names) and "deep/er/37.png" in names
    expected = load_bundle(bundle).predict([images / name for name in names])
    for row, one in zip(rows, expected, strict=True):
        assert row[1].split("|") == list(one.labels) or (row[1] == "" and not one.labels)
        np.testing.assert_allclose([float(cell) for cell in row[2:]], list(one.probabilities.values()), rtol=1e-4)
    assert not (tmp_path / "out.rejected.csv").exists()


def test_the_label_files_own_format_can_be_read_again(bundle: Path, images: Path, tmp_path: Path) -> None:
    predict(bundle, [str(images / "*.png")], tmp_path / "out.txt", "paper", QUIET)
    rows = read_paper(Source(images, tmp_path / "out.txt"))
    assert len(rows.files) == 37 and "0.png" in rows.files
    ids = dict(zip(CLASSES, "123", strict=True))
    predictions = load_bundle(bundle).predict([images / file for file in rows.files])
    for one, labels in zip(predictions, rows.labels, strict=True):
        assert labels == {ids[label] for label in one.labels}


ODD = ("a|b", "c, d", 'say "yes"', "two\nlines", "=1+1", "polar bear", "it's", "nan", "[x]", "image", "Labels")


def test_labels_with_any_signs_can_be_read_again(images: Path, tmp_path: Path) -> None:
    write_bundle(tmp_path / "model", classes=ODD)
    predict(tmp_path / "model", [str(images)], tmp_path / "out.csv", "probabilities", QUIET)
    header, *rows = rows_of(tmp_path / "out.csv")
    assert list(map(unguarded, header)) == [
        "image",
        "labels",
        *ODD[:-2],
        "probability of image",
        "probability of Labels",
    ]
    expected = load_bundle(tmp_path / "model").predict([images / row[0] for row in rows])
    assert [json.loads(row[1]) for row in rows] == [list(one.labels) for one in expected]
    assert len({one.labels for one in expected}) > 2
    message = "labels in the paper's format hold no blanks, quotes and separators, got 'two words'"
    write_bundle(tmp_path / "other", classes=ODD, ids=["two words", *map(str, range(1, len(ODD)))])
    with pytest.raises(ConfigError, match=message):
        predict(tmp_path / "other", [str(images)], tmp_path / "out.txt", "paper", QUIET)


@pytest.mark.parametrize(("format", "classes"), [("probabilities", CLASSES), ("paper", ("=SUM(A1)", "-one", "@home"))])
def test_no_cell_is_run_by_a_spreadsheet_and_every_name_comes_back(
    images: Path, tmp_path: Path, format: str, classes: tuple[str, ...]
) -> None:
    names = {"=1+1.png", "+a.png", "-1.png", "@SUM(A1).png", "'=quoted.png", "plain.png"}
    for number, name in enumerate(names):
        (images / f"{number}.png").rename(images / name)
    (images / "=bad.png").write_text("no image")
    write_bundle(tmp_path / "signs", classes=classes, ids=classes)
    predict(tmp_path / "signs", [str(images)], tmp_path / "out.csv", format, QUIET)
    rows = rows_of(tmp_path / "out.csv", "\t" if format == "paper" else ",")
    cells = [cell for row in [*rows, *rows_of(tmp_path / "out.rejected.csv")] for cell in row]
    assert len(cells) > 80 and not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]
    data = read_dataset(images, tmp_path / "out.csv", "paper" if format == "paper" else "auto")
    assert names <= set(data.files) and not data.absent()
    expected = load_bundle(tmp_path / "signs").predict([images / file for file in data.files])
    for row, one in zip(data.labels, expected, strict=True):
        assert {name for name, yes in zip(data.classes, row, strict=True) if yes} == set(one.labels)


def test_results_among_the_images_are_not_read(images: Path) -> None:
    run = images / "results" / "photos"
    for file in (run / "events.jsonl", run / "search.yaml", images / "model" / "bundle.json"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    (images / "model" / "model.safetensors").touch()
    for folder in (run / "report" / "plots", images / "model"):
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(images / "0.png", folder)
    assert len(names_of(images)) == 40
    assert names_of(run / "report" / "plots") == ["0.png"], "named outright, a folder is taken as it is"
    assert read_folders(Source(images, None)).files == [f"deep/er/{number}.png" for number in (37, 38, 39)]


def test_bad_images_are_listed_and_do_not_stop_the_others(bundle: Path, images: Path, tmp_path: Path) -> None:
    (images / "a bad one.jpg").write_text("no image")
    (images / "empty.png").touch()
    assert predict(bundle, [str(images)], tmp_path / "out.csv", "probabilities", QUIET) == 40
    assert len(rows_of(tmp_path / "out.csv")) == 41
    assert rows_of(tmp_path / "out.rejected.csv") == [
        ["file", "reason"],
        ["a bad one.jpg", "not an image of a known format"],
        ["empty.png", "empty file"],
    ]


def test_a_failure_midway_leaves_nothing(
    bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Bundle.stream

    def torn(self: Bundle, paths: list[Path], batch: int | None) -> Iterator[prediction.Prediction]:
        for number, one in enumerate(stream(self, paths)):
            if number == 35:
                raise OSError("no space left on device")
            yield one

    monkeypatch.setattr(Bundle, "stream", torn)
    before = set(tmp_path.iterdir())
    with pytest.raises(OSError, match="no space left"):
        predict(bundle, [str(images)], tmp_path / "out.csv", "probabilities", QUIET)
    assert set(tmp_path.iterdir()) == before


def test_a_file_that_hangs_delays_no_other(bundle: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, slow = prediction.decode_image, images / "0.png"

    def sometimes(path: Path, *how: Any) -> np.ndarray:
        if path == slow:
            hang.wait()
        return decode(path, *how)

    hang = threading.Event()
    monkeypatch.setattr(prediction, "decode_image", sometimes)
    monkeypatch.setattr(prediction, "TIMEOUT", 3.0)
    try:
        found = load_bundle(bundle).predict([images / f"{number}.png" for number in range(37)])
    finally:
        hang.set()
    assert [one.rejected for one in found if one.rejected] == ["reading took longer than 3 s"]
    assert len(found) == 37 and found[0].image == str(slow)


def test_memory_does_not_grow_with_the_images(bundle: Path, squares: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, alive, most = prediction.decode_image, [0], [0]

    def gone() -> None:
        alive[0] -= 1

    def counted(path: Path, *how: Any) -> np.ndarray:
        pixels = decode(path, *how).copy()
        alive[0] += 1
        most[0] = max(most[0], alive[0])
        weakref.finalize(pixels, gone)
        return pixels

    monkeypatch.setattr(prediction, "decode_image", counted)
    files = [squares / "images" / f"{number % 120}.png" for number in range(250)]
    assert sum(1 for _ in load_bundle(bundle).stream(files)) == 250
    # 64 wait in the queue, 32 for their batch, one or two with each thread and with the supervisor.
    assert 0 < most[0] <= 64 + 32 + 2 * (os.cpu_count() or 1) + 4


def names_of(*places: object) -> list[str]:
    return list(find_images([str(place) for place in places]))


def test_places(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert names_of(images / "0.png") == ["0.png"]
    assert names_of(images / "1*.png") == sorted(["1.png", *(f"1{i}.png" for i in range(10))])
    assert names_of(images / "**" / "*.png")[-1] == "deep/er/39.png"
    assert len(names_of(images / "**" / "*.png")) == 40, "hidden files are no images"
    listed = tmp_path / "list.txt"
    listed.write_text("photos/3.png\n\n photos/deep/er/37.png \nabsent.jpg\n")
    assert names_of(listed) == ["photos/3.png", "photos/deep/er/37.png", "absent.jpg"]
    assert find_images([str(listed)])["photos/3.png"] == images / "3.png"
    assert len(names_of(images / "0.png", images / "0.png", images / "1.png")) == 2, "each file once"
    shutil.copy(images / "0.png", images / "deep" / "0.png")
    assert names_of(images / "0.png", images / "deep" / "0.png") == [
        (images / "0.png").as_posix(),
        (images / "deep" / "0.png").as_posix(),
    ]
    monkeypatch.chdir(images)
    assert names_of("0.png", "deep")[:2] == ["0.png", "deep/0.png"], "two names would be equal, so all are paths"
    (images / "~nobody-of-this-name").mkdir()
    shutil.copy(images / "0.png", images / "~nobody-of-this-name" / "~$a.png")
    assert names_of("~nobody-of-this-name") == ["~$a.png"], "a name without a user is a plain one"
    before = names_of("deep")
    shutil.copytree(images / "deep", images / "deep" / "$RECYCLE.BIN")
    assert names_of("deep") == before, "what was deleted is not predicted"
    odd = tmp_path / "set[1]"
    odd.mkdir()
    shutil.copy(images / "0.png", odd)
    assert names_of(odd) == ["0.png"], "a folder that exists is no pattern"


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("absent", "does not exist; give a folder, a pattern, an image or a list of images"),
        ("*.webp", "no image found in"),
        ("deep/nothing", "no image found in"),
        ("blank.txt", "lists no images"),
        ("binary.dat", "must be an image or a text file with one path per line"),
        ("/dev/zero", "must be an image or a text file with one path per line, got a device"),
    ],
)
def test_places_that_hold_nothing(place: str, message: str, images: Path) -> None:
    (images / "deep" / "nothing").mkdir()
    (images / "blank.txt").write_text("\n \n")
    (images / "binary.dat").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigError, match=message):
        names_of(images / place)


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command in this process: (exit status, standard output, standard error)."""

    def in_process(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["thaw", *map(str, arguments)])
        status = run()
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return in_process


def test_the_command(bundle: Path, images: Path, tmp_path: Path, call: Callable[..., tuple[int, str, str]]) -> None:
    out = tmp_path / "out.csv"
    (images / "bad.jpg").write_text("no image")
    status, printed, err = call("predict", bundle, images, "--to", out)
    assert (status, err) == (0, "") and "40 images in" in printed and "a second" in printed
    assert "1 cannot be used (first: bad.jpg: not an image of a known format), see" in printed
    status, _, err = call("predict", bundle, images, "--to", out)
    assert status == 2 and "exists already and is never overwritten" in err
    status, _, err = call("predict", bundle, images, "--to", ".")
    assert status == 2 and err.startswith("error: .: exists already and is never overwritten")
    status, _, err = call("predict", bundle, images, "--to", tmp_path / "x.csv", "--format", "papers")
    assert status == 2 and "did you mean paper?" in err and not (tmp_path / "x.csv").exists()
    status, printed, _ = call("predict", bundle, images / "bad.jpg", "--to", tmp_path / "none.csv")
    assert status == 1 and "0 images" in printed
    status, _, err = call("predict", images, images, "--to", tmp_path / "y.csv")
    assert status == 2 and "not a bundle" in err


def test_the_benchmark_states_both_bounds(
    bundle: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(bundle), str(images), "--images", "40", "--rounds", "1"]
    monkeypatch.setattr(sys, "argv", ["predict", *arguments])
    benchmark.main()
    printed = capsys.readouterr().out
    for arm in ("decoding alone", "network alone", "thaw predict"):
        assert f"| {arm}" in printed
    assert "Share of the slower of the two alone: " in printed


def test_rows_go_to_standard_output_and_all_else_to_standard_error(
    bundle: Path, images: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (images / "torn.png").write_bytes(b"\x89PNG")
    monkeypatch.setattr(sys, "argv", ["thaw", "predict", str(bundle), str(images), "--to", "-"])
    assert run() == 0
    out, err = capsys.readouterr()
    header, *rows = csv.reader(out.splitlines())
    assert header[:2] == ["image", "labels"] and len(rows) == 40
    assert "40 images in" in err and "1 cannot be used (first: torn.png" in err


def labels_by(
    choice: LabelChoice, bundle: Path, images: Path, to: Path
) -> tuple[list[set[str]], list[dict[str, float]]]:
    """Labels and probabilities of all images."""
    predict(bundle, [str(images)], to, "probabilities", QUIET, choice)
    _, *rows = rows_of(to)
    to.unlink()
    read = [set(json.loads(row[1]) if row[1].startswith("[") else row[1].split("|")) - {""} for row in rows]
    return read, [dict(zip(CLASSES, map(float, row[2:]), strict=True)) for row in rows]


def test_labels_may_be_chosen_otherwise(bundle: Path, images: Path, tmp_path: Path) -> None:
    to = tmp_path / "out.csv"
    for k in (1, 2, 3):
        labels, probabilities = labels_by(LabelChoice(top_k=k), bundle, images, to)
        assert labels == [set(sorted(CLASSES, key=lambda name: -row[name])[:k]) for row in probabilities]
    labels, probabilities = labels_by(LabelChoice(threshold=0.4), bundle, images, to)
    assert labels == [{name for name in CLASSES if row[name] >= 0.4} for row in probabilities]
    labels, _ = labels_by(LabelChoice(policy="never_empty", threshold=1.0), bundle, images, to)
    assert all(len(given) == 1 for given in labels)
    labels, _ = labels_by(LabelChoice(policy="at_most", k=1, threshold=0.01), bundle, images, to)
    assert all(len(given) <= 1 for given in labels) and any(labels)


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        (LabelChoice(top_k=1, k=1), "--top-k: excludes"),
        (LabelChoice(top_k=4), "--top-k: must be at most 3, the number of the model's labels, got 4"),
        (LabelChoice(threshold=0.0), "--threshold: must be in"),
        (LabelChoice(threshold=math.nan), "--threshold: must be in"),
        (LabelChoice(threshold=0.9, policy="exactly_one"), "--threshold: has no effect with the policy exactly_one"),
        (LabelChoice(policy="at_most"), "k: at_most needs k"),
        (LabelChoice(policy="most"), "policy: unknown policy"),
    ],
)
def test_a_wrong_choice_is_refused_before_anything_is_written(
    bundle: Path, images: Path, tmp_path: Path, choice: LabelChoice, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        predict(bundle, [str(images)], tmp_path / "out.csv", "probabilities", QUIET, choice)
    assert not (tmp_path / "out.csv").exists()


def test_a_threshold_is_never_ignored(bundle: Path) -> None:
    """A bundle of single-label photos takes the most probable label, for which thresholds mean nothing."""
    rule = replace(load_bundle(bundle).rule, policy="exactly_one")
    with pytest.raises(ConfigError, match="--threshold: has no effect with the policy exactly_one"):
        LabelChoice(threshold=0.9).rule(rule)
    for choice in (LabelChoice(policy="threshold", threshold=0.9), LabelChoice(k=2, threshold=0.9)):
        sets = choice.rule(rule).label_sets(np.array([[0.95, 0.9, 0.1], [0.5, 0.3, 0.2]]))
        assert sets.tolist() == [[True, True, False], [False, False, False]]


def test_the_network_may_take_fewer_images_at_a_time(bundle: Path, images: Path, tmp_path: Path) -> None:
    tables = []
    for batch in (None, 3):
        predict(bundle, [str(images)], tmp_path / f"{batch}.csv", "probabilities", QUIET, batch=batch)
        tables.append(np.array([row[2:] for row in rows_of(tmp_path / f"{batch}.csv")[1:]], float))
    np.testing.assert_allclose(*tables, atol=1e-5)
