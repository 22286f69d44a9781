"""Notes on a split before anything is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from thaw.search.prepare.notes import equal_notes, split_notes
from thaw.trainables.data.dataset import Dataset
from thaw.trainables.data.splits import Split

NAMES = ("everywhere", "training", "validation", "test", "nowhere")
SPLIT = Split(np.arange(4), np.arange(4, 6), np.arange(6, 8))


def dataset(**columns: object) -> Dataset:
    """Eight images; each label but the first occurs only in the part it is named after."""
    labels = np.zeros((8, len(NAMES)), bool)
    labels[:, 0] = True
    for column, rows in enumerate((SPLIT.train, SPLIT.validation, SPLIT.test), 1):
        labels[rows[0], column] = True
    files = tuple(f"{i}.jpg" for i in range(8))
    return Dataset(Path("images"), files, labels, NAMES, NAMES, pd.DataFrame(columns, index=range(8)))


def test_labels_that_cannot_be_learned_or_judged_are_named() -> None:
    assert split_notes(dataset(), SPLIT, None, None) == [
        "only validation images have the label validation",
        "no training image has any of the labels test and nowhere",
        "no validation image has the label training",
    ]


def test_groups_without_a_value_are_counted() -> None:
    data = dataset(patient=["a", "", "nan", "b", "b", "NA", "c", "c"])
    assert split_notes(data, SPLIT, None, "patient")[0] == (
        "3 images have no value in 'patient'; each is a separate group"
    )


def test_a_column_that_gives_no_validation_images() -> None:
    data = dataset(part=["train"] * 6 + ["test"] * 2)
    assert split_notes(data, SPLIT, "part", None)[0] == (
        "no images are given for validation, so 2 training images are used for it"
    )


def test_equal_images_are_counted_and_those_across_parts_are_a_warning() -> None:
    assert equal_notes(None, SPLIT) == []
    assert equal_notes(np.array([0, 0, 0, 3, 4, 4, 6, 7]), SPLIT) == [
        "3 images have the same pixels as another and stay with it in one part"
    ]
    assert equal_notes(np.array([0, 1, 2, 3, 0, 5, 0, 7]), SPLIT) == [
        "2 images have the same pixels as another; 2 validation or test images equal training images"
    ]
