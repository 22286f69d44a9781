"""The built-in digits: the properties of the data set."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.conftest import ROOT
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.digits import BUILTIN, CANVAS, DIGITS_PER_IMAGE, write_digits
from thaw.trainables.data.splits import split_dataset


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    write_digits(folder)
    return folder


@pytest.fixture(scope="module")
def digits(folder: Path) -> Dataset:
    return read_dataset(*write_digits(folder))


def test_every_handwritten_digit_is_used_once(digits: Dataset) -> None:
    assert len(digits.files) == 1404
    assert digits.classes == tuple("0123456789")
    assert digits.labels.sum(axis=0).tolist() == np.bincount(load_digits().target).tolist()
    in_image = np.bincount(digits.labels.sum(axis=1)).tolist()
    assert in_image == [0, DIGITS_PER_IMAGE[1], DIGITS_PER_IMAGE[2], DIGITS_PER_IMAGE[3]]
    assert in_image[1] / 1404 == pytest.approx(0.78, abs=0.001)


def test_pictures_are_ordinary_files(digits: Dataset) -> None:
    assert digits.absent() == []
    for file in digits.files[::200]:
        with Image.open(digits.root / file) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (CANVAS, CANVAS))


def test_ink_stands_out(digits: Dataset) -> None:
    for file in digits.files[::50]:
        gray = np.asarray(Image.open(digits.root / file).convert("L"), float)
        # The ink covers more than a fiftieth of a picture.
        assert np.percentile(gray, 98) - np.percentile(gray, 2) > 60


def test_written_once(folder: Path) -> None:
    images, labels = write_digits(folder)
    before = labels.stat().st_mtime_ns
    assert BUILTIN["digits"](folder) == (images, labels)
    assert labels.stat().st_mtime_ns == before


def test_two_processes_at_once_write_the_same(folder: Path, digits: Dataset, tmp_path: Path) -> None:
    script = "import sys; from pathlib import Path; from thaw.trainables.data.digits import write_digits\n"
    script += "write_digits(Path(sys.argv[1]))\n"
    command = [sys.executable, "-c", script, str(tmp_path / "cache")]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(2)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0]
    assert len(list((tmp_path / "cache").iterdir())) == 1, "nothing is left behind"
    images, labels = write_digits(tmp_path / "cache")
    assert labels.read_text() == write_digits(folder)[1].read_text()
    for file in digits.files[::100]:
        assert (images / file).read_bytes() == (digits.root / file).read_bytes()


def test_splits_keep_every_digit(digits: Dataset) -> None:
    split = split_dataset(digits, np.ones(len(digits.files), bool))
    assert len(split.validation) == pytest.approx(281, abs=3)
    shares = digits.labels[split.validation].sum(axis=0) / digits.labels.sum(axis=0)
    assert shares == pytest.approx(0.2, abs=0.02)
