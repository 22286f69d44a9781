"""Stratified, given and grouped splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from thaw.spaces.errors import ConfigError
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.splits import Split, split_dataset


def dataset(labels: np.ndarray, **columns: object) -> Dataset:
    count = len(labels)
    files = tuple(f"{i}.jpg" for i in range(count))
    names = tuple(f"label{i}" for i in range(labels.shape[1]))
    return Dataset(Path("images"), files, labels, names, names, pd.DataFrame(columns, index=range(count)))


def random_labels(count: int = 2000) -> np.ndarray:
    """20 labels with shares from 0.4 % to 60 %."""
    return np.random.default_rng(0).random((count, 20)) < np.geomspace(0.004, 0.6, 20)


def everything(data: Dataset) -> np.ndarray:
    return np.ones(len(data.files), bool)


def parts(split: Split) -> list[list[int]]:
    return [part.tolist() for part in (split.train, split.validation, split.test)]


def check(split: Split, rows: np.ndarray) -> None:
    for part in (split.train, split.validation, split.test):
        assert part.dtype == np.int64 and (np.diff(part) > 0).all()
    assert sorted(row for part in parts(split) for row in part) == rows.tolist(), "every usable row once, no other"


def test_every_label_has_its_share() -> None:
    labels = random_labels()
    split = split_dataset(dataset(labels), np.ones(2000, bool))
    check(split, np.arange(2000))
    for part, share in ((split.train, 0.7), (split.validation, 0.2), (split.test, 0.1)):
        assert len(part) == pytest.approx(share * 2000, abs=10)
        off = np.abs(labels[part].sum(axis=0) - share * labels.sum(axis=0))
        # The most common label is dealt with last and takes what the others leave: 1,197 images.
        assert off[:-1].max() < 1 and off[-1] < 12


def test_deterministic_by_seed() -> None:
    data = dataset(random_labels())
    usable = everything(data)
    assert parts(split_dataset(data, usable, seed=5)) == parts(split_dataset(data, usable, seed=5))
    assert parts(split_dataset(data, usable, seed=5)) != parts(split_dataset(data, usable, seed=6))


def test_only_usable_rows() -> None:
    data = dataset(random_labels(300))
    usable = np.random.default_rng(1).random(300) < 0.8
    check(split_dataset(data, usable), np.flatnonzero(usable))


def test_no_test_part() -> None:
    split = split_dataset(dataset(random_labels(500)), np.ones(500, bool), validation=0.25, test=0)
    assert len(split.test) == 0 and len(split.validation) == pytest.approx(125, abs=5)


@pytest.mark.parametrize("group", [None, "group"])
@pytest.mark.parametrize(
    "labels",
    [np.ones((10, 2), bool), np.zeros((10, 2), bool), np.eye(10, dtype=bool), np.eye(10, dtype=bool)[:, :2]],
    ids=["all labels", "no label", "ten labels of one image", "two labels of one image"],
)
def test_labels_that_cannot_be_shared_out(labels: np.ndarray, group: str | None) -> None:
    split = split_dataset(dataset(labels, group=list("aabbccddee")), np.ones(10, bool), group=group)
    check(split, np.arange(10))
    assert (len(split.train), len(split.validation)) in ((7, 2), (6, 2))


def test_given_by_column() -> None:
    data = dataset(random_labels(6), part=["train", "VAL", "test", "valid", "validation", "Train"])
    usable = np.array([True, True, True, True, False, True])
    assert parts(split_dataset(data, usable, column="part")) == [[0, 5], [1, 3], [2]]


def test_groups_stay_together_and_labels_keep_their_shares() -> None:
    labels = random_labels()
    groups = np.random.default_rng(2).integers(0, 200, 2000).astype(str)
    split = split_dataset(dataset(labels, patient=groups), np.ones(2000, bool), group="patient")
    check(split, np.arange(2000))
    found = [set(groups[part]) for part in (split.train, split.validation, split.test)]
    assert not (found[0] & found[1] or found[0] & found[2] or found[1] & found[2])
    assert len(split.validation) == pytest.approx(400, abs=20)
    common = labels.sum(axis=0) > 100
    shares = labels[split.validation].sum(axis=0) / labels.sum(axis=0)
    assert shares[common] == pytest.approx(0.2, abs=0.03)


def test_one_large_group_trains() -> None:
    data = dataset(random_labels(100), site=["a"] * 60 + ["b"] * 20 + ["c"] * 20)
    split = split_dataset(data, everything(data), test=0, group="site")
    assert set(range(60)) <= set(split.train.tolist())
    assert len(split.validation) == 20


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"validation": 0.0}, "must be 0 < validation"),
        ({"validation": 0.6, "test": 0.4}, "together below 1, got 0.6 and 0.4"),
        ({"test": -0.1}, "0 <= test"),
        ({"column": "prat"}, "has no column 'prat' .*did you mean part"),
        ({"column": "part"}, "must hold train, validation or test, .* got 'spare'"),
        ({"group": "nobody"}, "has no column 'nobody'"),
        ({"group": "same", "column": "half"}, "must be in one part of the given split, but 'train' of same"),
        ({"group": "same"}, "validation split is empty: it comes from 1 group of 8 usable images of 8"),
        ({"column": "tested"}, "train split is empty"),
        ({"validation": 0.01}, "validation split is empty: it comes from 8 usable images of 8"),
    ],
)
def test_errors(options: dict[str, object], message: str) -> None:
    data = dataset(
        random_labels(8),
        part=["train"] * 7 + ["spare"],
        same=["train"] * 8,
        tested=["test"] * 8,
        half=["train", "val"] * 4,
    )
    with pytest.raises(ConfigError, match=message):
        split_dataset(data, everything(data), **options)  # type: ignore[arg-type]


def test_no_usable_row() -> None:
    data = dataset(random_labels(8), who=["x"] * 8)
    for group in (None, "who"):
        with pytest.raises(ConfigError, match="train split is empty"):
            split_dataset(data, np.zeros(8, bool), group=group)
