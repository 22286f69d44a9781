"""Names that a label file writes differently from the names on disk."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from thaw.search.prepare.data_checks import check_absent
from thaw.search.prepare.data_set import data_facts
from thaw.search.settings.config import config_from
from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset

DOCS = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")


def read(folder: Path, written: list[str], stored: list[str]) -> Dataset:
    """The data set of a table of these names, and of images with those names, which are empty."""
    for name in stored:
        (folder / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "images" / name).touch()
    rows = [f"{name},{'cat' if number % 2 else 'dog'}" for number, name in enumerate(written)]
    (folder / "labels.csv").write_text("\n".join(["file,label", *rows]) + "\n", encoding="utf-8")
    return read_dataset(folder / "images", folder / "labels.csv")


@pytest.mark.parametrize(
    ("what", "written", "stored"),
    [
        ("names encoded as in URLs", "my%20cat%20{}.jpg", "my cat {}.jpg"),
        ("names encoded as in URLs", "K%C3%A4fer_{}.jpg", "Käfer_{}.jpg"),
        ("names encoded as in URLs", "o/photos%2F{}.jpg", "photos/{}.jpg"),
        ("`gs://` and other URLs, also with a query", "gs://bucket/x/my%20cat{}.jpg", "my cat{}.jpg"),
        ("`gs://` and other URLs, also with a query", "https://x.org/d/{}.jpg?raw=1#top", "{}.jpg"),
        ("uploads and local files of Label Studio", "/data/upload/1/3f2a9c1b-img_{}.jpg", "img_{}.jpg"),
        ("uploads and local files of Label Studio", "/data/local-files/?d=photos/img%20{}.jpg", "photos/img {}.jpg"),
    ],
)
def test_a_unique_file_is_matched_after_decoding(tmp_path: Path, what: str, written: str, stored: str) -> None:
    files = [stored.format(number) for number in range(6)]
    dataset = read(tmp_path, [written.format(number) for number in range(6)], files)
    assert list(dataset.files) == files
    assert "6 file names were matched after decoding URLs or uploads" in " ".join(dataset.notes)
    assert f"| {what} | unique match, with a note |" in DOCS


def test_a_name_that_exists_as_written_is_not_decoded(tmp_path: Path) -> None:
    stored = ["a%20b.jpg", "a b.jpg", "3f2a9c1b-c.jpg", "c.jpg"]
    dataset = read(tmp_path, ["a%20b.jpg", "a b.jpg", "/data/upload/7/3f2a9c1b-c.jpg", "c.jpg"], stored)
    assert list(dataset.files) == stored
    assert not any("decoding" in note for note in dataset.notes)


def test_two_names_of_one_file_are_refused_and_none_leads_outside(tmp_path: Path) -> None:
    (tmp_path / "b.jpg").touch()
    assert read(tmp_path, ["a.jpg", "..%2Fb.jpg"], ["a.jpg", "c/b.jpg"]).absent() == ["..%2Fb.jpg"]
    uploads = [f"/data/upload/1/{digit * 8}-a.jpg" for digit in "12"]
    with pytest.raises(ConfigError, match="both match a.jpg; write file names as they are on disk"):
        read(tmp_path, uploads, ["a.jpg"])


def test_names_that_all_lead_outside_say_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"outside the image folder\); names must lead to files below data.images; set"
    ):
        read(tmp_path, ["../photos/a.jpg", "../photos/b.jpg"], ["a.jpg", "b.jpg"])


def test_names_in_an_encoding_that_python_does_not_use_here(tmp_path: Path) -> None:
    read(tmp_path, ["käfer.jpg", "猫.jpg"], ["käfer.jpg", "猫.jpg"])
    file = tmp_path / "search.yaml"
    file.write_text("name: x\npreset: transfer\ndata: {images: images, labels: labels.csv}\n")
    printed = {}
    for utf8 in "01":
        done = subprocess.run(
            [sys.executable, "-m", "thaw", "data", file],
            env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": utf8, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        printed[utf8] = done.stdout + done.stderr
    assert "Python takes file names for ascii here; set the variable PYTHONUTF8=1\n" in printed["0"]
    assert "PYTHONUTF8" not in printed["1"] and "2 images; 2 labels" in printed["1"]


@pytest.mark.parametrize(
    ("written", "stored", "hint"),
    [
        ("{}", "{:04}.jpg", "'0' and the file '0000.jpg' differ only in leading zeros"),
        ("{}.0", "{:04}.jpg", "'0.0' and the file '0000.jpg' differ only in leading zeros"),
        ("{}.jpg", "{:04}.jpg", "'0.jpg' and the file '0000.jpg' differ only in leading zeros"),
        ("p{}.jpg", "p{}.png", "'p0.jpg' and the file 'p0.png' differ only in the extension"),
        ("p{}.jpg", "q{}.jpg", None),
    ],
)
def test_absent_images_say_why(tmp_path: Path, written: str, stored: str, hint: str | None) -> None:
    dataset = read(tmp_path, [written.format(n) for n in range(6)], [stored.format(n) for n in range(6)])
    config = config_from({"name": "x", "preset": "transfer", "data": {"images": str(tmp_path / "images")}})
    notes = data_facts(config, dataset).notes
    with pytest.raises(ConfigError) as caught:
        check_absent(config.data, dataset)
    for text in (" ".join(notes), str(caught.value)):
        assert (hint in text) if hint else ("differ only" not in text)
