"""Folders, files and columns that define a split: read as one, or refused with advice, and never read as labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from thaw.search.prepare.find_data import find_data
from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.reading import Reading


def folders(root: Path, names: str) -> Path:
    """Three empty images in each of the folders."""
    for name in names.split():
        (root / name).mkdir(parents=True)
        for number in range(3):
            (root / name / f"{number}.jpg").touch()
    return root


def counts(dataset: Dataset) -> dict[str, int]:
    return dict(zip(dataset.classes, dataset.labels.sum(axis=0).tolist(), strict=True))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("trainA trainB testA testB", "are parts of a split without folders of labels"),
        ("train test", "are parts of a split without folders of labels"),
        ("train_images test_images", "are parts of a split without folders of labels"),
        ("images_train images_val", "are parts of a split without folders of labels"),
        ("Training Testing", "are parts of a split without folders of labels"),
        ("train_cats train_dogs test_cats test_dogs", "are parts of a split without folders of labels"),
        ("train_cats test_dogs", "are parts of a split without folders of labels"),
        ("cats dogs test", "test is named like a part of a split"),
        ("cats dogs val-set", "val-set is named like a part of a split"),
        ("cats dogs unlabeled", "unlabeled is probably not a label"),
        ("train train_masks", "are not labels"),
        ("train_images train_masks", "are not labels"),
        ("fold1/cat fold1/dog fold2/cat fold2/dog", "named like folds of a split"),
        ("split_0/a split_0/b split_1/a split_1/b", "named like folds of a split"),
    ],
)
def test_folders_that_are_not_labels_are_refused(tmp_path: Path, names: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_dataset(folders(tmp_path, names))


@pytest.mark.parametrize(
    ("names", "labels", "parts"),
    [
        ("trainA/x trainA/y testA/x testA/y", "x y", {0: 6, 2: 6}),
        ("train-set/x train-set/y test-set/x test-set/y", "x y", {0: 6, 2: 6}),
        ("Training/x Training/y Testing/x Testing/y", "x y", {0: 6, 2: 6}),
        ("images_train/x images_train/y images_val/x images_val/y", "x y", {0: 6, 1: 6}),
        ("trainval/x trainval/y test/x test/y", "x y", {0: 6, 2: 6}),
        ("x/train x/test y/train y/test", "x y", {0: 6, 2: 6}),
        ("x/train x/val x/test y/train y/test", "x y", {0: 6, 1: 3, 2: 6}),
    ],
)
def test_folders_that_are_a_split_are_used_as_one(
    tmp_path: Path, names: str, labels: str, parts: dict[int, int]
) -> None:
    dataset = read_dataset(folders(tmp_path, names))
    assert dataset.classes == tuple(labels.split()) and dataset.parts is not None
    assert Counter(dataset.parts.tolist()) == parts


@pytest.mark.parametrize(
    ("names", "note"),
    [
        ("train bus", "the folder train is read as a label"),
        ("valid invalid", "the folder valid is read as a label"),
        ("train_cats train_dogs", "are named after one part of a split; they are read as labels"),
        ("trainA trainB", "are named after one part of a split; they are read as labels"),
        ("x/front x/back y/front", "images in folders inside the folder of a label have that label (x/back, …)"),
    ],
)
def test_folders_that_may_be_labels_give_a_note(tmp_path: Path, names: str, note: str) -> None:
    dataset = read_dataset(folders(tmp_path, names))
    assert dataset.parts is None and note in " ".join(dataset.notes)
    assert set(dataset.classes) == {name.split("/")[0] for name in names.split()}


def lines(value: Callable[[int], object], separator: str = ",", name: str = "a{}.jpg") -> str:
    return "".join(f"{name.format(number)}{separator}{value(number)}\n" for number in range(30))


def one_of(*values: object) -> Callable[[int], object]:
    return lambda number: values[number % len(values)]


NEVER_LABELS: Sequence[tuple[str, str, str]] = [
    ("list_eval_partition.txt", lines(one_of(0, 1, 2), " ", "{:06d}.jpg"), "is named like a split and holds 0, 1, 2"),
    ("partition.txt", lines(one_of(0, 1), "\t"), "is named like a split and holds 0, 1"),
    ("list_eval_partition.csv", "image_id,partition\n" + lines(one_of(0, 1, 2)), r"holds a split .partition. and no"),
    ("a.csv", "image,set\n" + lines(one_of("train", "test", "val")), "'set' holds test, train, val, which is a split"),
    ("a.csv", "image,label\n" + lines(one_of("train", "test")), "'label' holds test, train, which is a split"),
    ("a.csv", lines(one_of("train", "dev")), "holds dev, train, which is a split"),
    (
        "a.jsonl",
        "".join(f'{{"file": "{n}.jpg", "label": "{"train" if n % 2 else "test"}"}}\n' for n in range(9)),
        "split",
    ),
    ("a.csv", "image,train,val\n" + lines(one_of("0,1", "1,0")), r"holds a split .train, val. and no labels"),
    ("ImageSets/Main/dog_train.txt", lines(one_of(" 1", "-1"), " ", "2008_{:06d}"), "one label and one part"),
    ("imagesets/main/dog_x.txt", lines(one_of(0, 1), " ", "2008_{:06d}"), "one label and one part"),
    ("dog_trainval.txt", lines(one_of(" 1", "-1", " 0"), " ", "2008_{:06d}"), "one label and one part"),
]


@pytest.mark.parametrize(("name", "text", "message"), NEVER_LABELS)
def test_files_that_define_a_split_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_dataset(tmp_path, tmp_path / name)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("train.txt", lines(one_of(0, 1, 2), " ")),
        ("train.txt", lines(one_of(-1, 1), " ")),
        ("train_split.csv", "image,label\n" + lines(one_of(0, 1, 2))),
        ("train_split.csv", lines(one_of("cat", "dog"))),
    ],
)
def test_labels_that_look_alike_are_labels(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert sum(counts(read_dataset(tmp_path, tmp_path / name)).values()) == 30


def test_words_of_a_split_are_labels_if_the_user_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("image,kind\n" + lines(one_of("train", "test")))
    assert counts(read_dataset(tmp_path, tmp_path / "a.csv", reading=Reading(labels=("kind",)))) == {
        "test": 15,
        "train": 15,
    }


def voc(root: Path, val: str) -> Path:
    for number in range(6):
        for folder, ending in (("Annotations", "xml"), ("JPEGImages", "jpg")):
            (root / folder).mkdir(exist_ok=True, parents=True)
            name = f"<filename>{number}.jpg</filename><object><name>{'ab'[number % 2]}</name></object>"
            (root / folder / f"{number}.{ending}").write_text(f"<annotation>{name}</annotation>")
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name, text in (("train", "0 1 2"), ("val", val), ("trainval", f"0 1 2 {val}"), ("a_train", "0 1\n1 -1\n2 1\n")):
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(text.replace(" ", "\n") if "-" not in text else text)
    return root


def test_image_sets_become_a_column_of_the_split(tmp_path: Path) -> None:
    root = voc(tmp_path / "whole", "3 4 5")
    dataset = read_dataset(root / "JPEGImages", root / "Annotations")
    assert list(dataset.columns["imageset"]) == ["train"] * 3 + ["validation"] * 3
    assert "data.split.column: imageset uses it" in " ".join(dataset.notes)
    assert find_data(root).split_column == "imageset"
    root = voc(tmp_path / "part", "3 4")
    dataset = read_dataset(root / "JPEGImages", root / "Annotations")
    assert not len(dataset.columns.columns) and "not usable, as 1 image is missing" in " ".join(dataset.notes)


def test_a_split_next_to_the_labels_gives_a_note(tmp_path: Path) -> None:
    (tmp_path / "list_attr.txt").write_text("Young Male\n" + lines(one_of("1 -1", "-1 1"), " "))
    (tmp_path / "list_eval_partition.txt").write_text(lines(one_of(0, 1, 2), " "))
    dataset = read_dataset(tmp_path, tmp_path / "list_attr.txt")
    assert dataset.classes == ("Young", "Male")
    assert "list_eval_partition.txt next to the labels looks like a split" in " ".join(dataset.notes)


@pytest.mark.parametrize(
    ("heading", "values", "note"),
    [
        ("set", ("train", "test"), "'set' looks like a split and is not used; set data.split.column"),
        ("Usage", ("Training", "PublicTest"), "'Usage' looks like a split and is not used: its cells are not train"),
        ("fold", (0, 1, 2), "'fold' looks like a split and is not used: its cells are not train"),
        ("kfold", (0, 1), "'kfold' looks like a split and is not used: its cells are not train"),
    ],
)
def test_columns_of_a_split_give_a_note(tmp_path: Path, heading: str, values: tuple[object, ...], note: str) -> None:
    (tmp_path / "a.csv").write_text(
        f"image,label,{heading}\n" + lines(lambda n: f"{'xy'[n % 2]},{values[n % len(values)]}")
    )
    dataset = read_dataset(tmp_path, tmp_path / "a.csv")
    assert dataset.classes == ("x", "y") and note in " ".join(dataset.notes)
