"""Hidden files, and folders that the system keeps on a disk, are no data."""

from __future__ import annotations

from pathlib import Path

import pytest

from thaw.trainables.data.dataset import read_dataset
from thaw.trainables.data.visible import SYSTEM_FOLDERS, is_visible

EXTRA = ["$RECYCLE.BIN/a/1.jpg", "lost+found/#123.jpg", "cat/.1.jpg", ".Trash-1000/a/1.jpg", "#recycle/1.jpg"]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    for name in ("cat/1.jpg", "cat/2.jpg", "dog/3.jpg", *EXTRA):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_folders_of_labels(disk: Path) -> None:
    dataset = read_dataset(disk)
    assert list(dataset.classes) == ["cat", "dog"] and sorted(dataset.files) == ["cat/1.jpg", "cat/2.jpg", "dog/3.jpg"]
    assert not dataset.rejected


def test_a_name_does_not_match_what_was_deleted(disk: Path) -> None:
    (disk / "labels.csv").write_text("file,label\n1.jpg,cat\n2.jpg,cat\n3.jpg,dog\n")
    dataset = read_dataset(disk, disk / "labels.csv")
    assert list(dataset.files) == ["cat/1.jpg", "cat/2.jpg", "dog/3.jpg"]


def test_names() -> None:
    assert not any(map(is_visible, (*SYSTEM_FOLDERS, "System Volume Information", ".DS_Store", ".")))
    assert all(map(is_visible, ("found", "lost", "recycle", "_", "~$a.jpg", "a.b")))
