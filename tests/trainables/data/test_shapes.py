"""Common shapes of label files, and the outcome of each; docs/reliability.md shows the same table."""

from __future__ import annotations

import json
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT
from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.reading import Reading
from thaw.trainables.data.splits import given_parts

DOCS = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = 24
FILES = [f"p{number:02d}.jpg" for number in range(ROWS)]


def cycled(values: Sequence[Any]) -> list[Any]:
    return [values[number % len(values)] for number in range(ROWS)]


def table(header: str, *columns: Sequence[object], separator: str = ",") -> str:
    rows = [separator.join(map(str, row)) for row in zip(FILES, *map(cycled, columns), strict=True)]
    return "\n".join([*([header] if header else []), *rows]) + "\n"


def quoted(values: Sequence[str]) -> list[str]:
    return ['"' + value.replace('"', '""') + '"' for value in values]


@dataclass(frozen=True)
class Shape:
    """A label file and its outcome.

    Args:
        what: its name in the table of the documentation.
        outcome: its outcome in that table.
        text: content of the label file.
        sets: labels of the images, repeated; None if the file is refused.
        messages: parts of the notes, or of the error.
        name: name of the label file.
        files: names of the images, which are empty files.
        reading: the settings of the search file.
        classes: name and text of ``data.classes``.
        split: column of the split, and the number of training, validation and test images.
        empty: labels that no image has.
    """

    what: str
    outcome: str
    text: str
    sets: list[str] | None
    messages: tuple[str, ...] = ()
    name: str = "labels.csv"
    files: list[str] = field(default_factory=lambda: FILES)
    reading: Reading = field(default_factory=Reading)
    classes: tuple[str, str] | None = None
    split: tuple[str, list[int]] | None = None
    empty: tuple[str, ...] = ()


GENRES = ["Drama", "Comedy|Romance", "Sci-Fi", "Drama|Romance", "Comedy"]
LISTS = [value.split("|") for value in GENRES]
ANIMALS = ["polar bear", "red fox", "sea otter", "moose"]
SHARED = ["polar bear", "brown bear", "red fox", "arctic fox"]
INVERTED = ["bittern, great", "egret, little", "heron"]
IDS = ["0", "1", "2"]
INSECTS = ["ant", "bee", "wasp"]

SHAPES = [
    Shape("names with blanks", "one label", table("filename,label", ANIMALS), ANIMALS, ("blanks", "as part of names")),
    Shape("names with blanks that share words", "one label", table("filename,label", SHARED), SHARED),
    Shape("names with commas", "one label", table("filename,label", quoted(INVERTED)), INVERTED),
    Shape(
        "names with slashes and other scripts",
        "one label",
        table("filename,label", ["a/b", "猫", "Hündin"]),
        ["a/b", "猫", "Hündin"],
    ),
    Shape(
        "`data.separator: none`",
        "one label",
        table("f,label", quoted(["a, b", "a, c", "b"])),
        ["a, b", "a, c", "b"],
        reading=Reading(separator="none"),
    ),
    Shape(
        "`data.separator` given",
        "several labels",
        table("f,tags", ["sea otter; moose", "red fox"]),
        ["sea otter|moose", "red fox"],
        reading=Reading(separator=";"),
    ),
    Shape(
        "lists separated by blanks",
        "several labels",
        table("f,tags", ["haze primary", "clear primary", "clear"]),
        ["haze|primary", "clear|primary", "clear"],
        ("separated by blanks",),
    ),
    Shape("lists separated by bars", "several labels", table("f,labels", GENRES), GENRES),
    Shape(
        "lists separated by semicolons",
        "several labels",
        table("f,labels", [value.replace("|", ";") for value in GENRES]),
        GENRES,
    ),
    Shape(
        "lists separated by commas",
        "several labels",
        table("f,labels", quoted([value.replace("|", ", ") for value in GENRES])),
        GENRES,
    ),
    Shape(
        "Python lists",
        "several labels",
        table("Id,Genre", quoted([repr(one) for one in LISTS])),
        GENRES,
        ("read as lists",),
    ),
    Shape("JSON lists", "several labels", table("image,labels", quoted([json.dumps(one) for one in LISTS])), GENRES),
    Shape(
        "NumPy lists",
        "several labels",
        table("image,labels", quoted([f"[{' '.join(map(repr, one))}]" for one in LISTS])),
        GENRES,
    ),
    Shape("lists of one label", "several labels", table("image,labels", quoted(["['N']", "['D']"])), ["N", "D"]),
    Shape(
        "vectors",
        "refused: names the column",
        table("f,target", quoted(["[1, 0, 1]", "[0, 1, 0]"])),
        None,
        ("'target' holds vectors",),
    ),
    Shape(
        "decimal numbers",
        "refused: names the column",
        table("f,label", ["0.25", "0.5", "1.0"]),
        None,
        ("'label' holds decimal numbers such as 0.25",),
    ),
    Shape(
        "remarks",
        "refused: names the column",
        table("f,label", [f"seen at {n}" for n in range(ROWS)]),
        None,
        ("'label' holds 24 different labels",),
    ),
    Shape(
        "decimal commas",
        "refused: names the column",
        table("f;score", ["0,25", "1,5", "2,05"], separator=";"),
        None,
        ("'score' holds decimal numbers such as 0,25",),
    ),
    Shape(
        "lists without quotes",
        "several labels",
        table("f,label", quoted(["[cat, dog]", "[cat]"])),
        ["cat|dog", "cat"],
        ("read as lists",),
    ),
    Shape(
        "labels separated by a plus, slash or ampersand",
        "one label, a note suggests `data.separator`",
        table("f,label", ["cat", "dog", "cat+dog"]),
        ["cat", "dog", "cat+dog"],
        ("data.separator: '+' would split it",),
    ),
    Shape(
        "missing values",
        "no label",
        table("f,label", ["cat", "dog", "nan", "NaN", "None", "NA", "<NA>", ""]),
        ["cat", "dog", "", "", "", "", "", ""],
        ("NaN",),
    ),
    Shape(
        "labels that differ in case or blanks",
        "distinct labels, with a note",
        table("f,label", ["Cat", "cat", "dog", "cat "]),
        ["Cat", "cat", "dog", "cat"],
        ("'Cat'", "'cat'", "'cat '"),
    ),
    Shape("unusual headings", "by the cells", table("picture,creature", ["pug", "husky"]), ["pug", "husky"]),
    Shape(
        "headings that are repeated in later rows",
        "left out, with a note",
        2 * ("\ufeff" + table("f,label", ["pug", "husky"])),
        ["pug", "husky"],
        ("1 row repeats the headings",),
    ),
    Shape("no headings", "by the cells", table("", ["class", "name"]), ["class", "name"]),
    Shape(
        "`sep=;` in the first line",
        "read",
        "sep=;\n" + table("f;labels", ["pug", "husky"], separator=";"),
        ["pug", "husky"],
    ),
    Shape(
        "pandas' index",
        "left out",
        "".join(
            f"{n - 1 if n else ''},{line}\n"
            for n, line in enumerate(table("img,animal", ["pug", "husky"]).splitlines())
        ),
        ["pug", "husky"],
    ),
    Shape(
        "columns named by `data.columns`",
        "read",
        table("a,b,c", ["x", "y"], ["pug", "husky"]),
        ["pug", "husky"],
        reading=Reading(image="a", labels=("c",)),
    ),
    Shape(
        "`data.columns` names no column",
        "refused",
        table("a,b,c", ["x"], ["y"]),
        None,
        ("has no column 'd'",),
        reading=Reading(labels=("d",)),
    ),
    Shape(
        "table of 1, 0, -1 and blanks",
        "-1 by `data.uncertain`",
        table("Path,Edema,Mass", ["1.0", "", "0.0", "-1.0"], ["", "1.0", "1.0", "0.0"]),
        ["Edema", "Mass", "Mass", ""],
        ("-1",),
    ),
    Shape(
        "`data.uncertain: positive`",
        "used as a label",
        table("Path,Edema,Mass", ["1", "0", "-1"], ["0", "1", "0"]),
        ["Edema", "Mass", "Edema"],
        reading=Reading(uncertain="positive"),
    ),
    Shape(
        "table of 1 and -1 below a line with the number of rows",
        "read",
        f"{ROWS}\nBald Smiling\n" + table("", ["1", "-1", "-1"], ["-1", "1", "-1"], separator="  "),
        ["Bald", "Smiling", ""],
        name="attr.txt",
    ),
    Shape(
        "columns separated by blanks, names with blanks",
        "read",
        "".join(f"my photos/a {file} {label}\n" for file, label in zip(FILES, cycled(IDS), strict=True)),
        IDS,
        name="train.txt",
        files=[f"my photos/a {file}" for file in FILES],
    ),
    Shape("columns separated by blanks", "read", table("", IDS, separator=" "), IDS, name="train.txt"),
    Shape(
        "columns separated by blanks, the label first",
        "read",
        "".join(f"{label} {file}\n" for file, label in zip(FILES, cycled(IDS), strict=True)),
        IDS,
        name="train.txt",
    ),
    Shape(
        "JSON lines",
        "read",
        "".join(
            json.dumps({"file_name": f, "label": v}) + "\n" for f, v in zip(FILES, cycled(["ok", "bad"]), strict=True)
        ),
        ["ok", "bad"],
        name="x.jsonl",
    ),
    Shape(
        "0/1 columns beside a complete table of labels",
        "left out, with a note",
        table("f,cat,dog,indoors", ["1", "0"], ["0", "1"], ["1", "1", "0"]),
        ["cat", "dog"],
        ("not used as labels: indoors",),
    ),
    Shape(
        "0/1 column without a 1 in a complete table of labels",
        "used as a label",
        table("f,MEL,NV,UNK", ["1.0", "0.0"], ["0.0", "1.0"], ["0.0"]),
        ["MEL", "NV"],
        ("0/1 columns MEL, NV, UNK",),
        empty=("UNK",),
    ),
    Shape(
        "0/1 columns beside numbers",
        "numbers left out, with a note",
        table("f,age,cat,dog,share", range(30, 54), ["0", "1"], ["1", "1", "0"], ["0.5", "0", "1"]),
        ["dog", "cat|dog", "", "cat|dog", "dog", "cat"],
        ("columns not used as labels: age, share",),
    ),
    Shape(
        "0/1 split column among 0/1 columns of labels",
        "split",
        table("f,cat,dog,is_valid", ["1", "0"], ["0", "1"], ["1", "0", "0", "0"]),
        ["cat", "dog"],
        reading=Reading(reserved=frozenset(["is_valid"])),
        split=("is_valid", [18, 6, 0]),
    ),
    Shape(
        "split column of true and false",
        "split",
        table("f,label,isTest", ["a", "b"], ["True", "false", "FALSE", "False"]),
        ["a", "b"],
        split=("isTest", [18, 0, 6]),
    ),
    Shape(
        "split column of true and false beside lists separated by blanks",
        "split",
        table("fname,labels,is_valid", ["car", "person bike", "person", "car"], ["True", "False", "False", "False"]),
        ["car", "person|bike", "person", "car"],
        reading=Reading(reserved=frozenset(["is_valid"])),
        split=("is_valid", [18, 6, 0]),
    ),
    Shape(
        "split column of synonyms",
        "split",
        table("f,label,part", ["a", "b"], ["Training", "dev", "hold-out", "TRAIN"]),
        ["a", "b"],
        split=("part", [12, 6, 6]),
    ),
    Shape(
        "one row per label, `data.rows: add`",
        "joined",
        table("f,label", ["x", "y"]) + table("", ["x", "z"]),
        ["x", "y|z"],
        ("24 rows repeat",),
        reading=Reading(rows="add"),
    ),
    Shape(
        "one row per label, absent labels marked by `Confidence` 0",
        "refused",
        table("ImageID,LabelName,Confidence", ["x", "y"], ["1", "0"]),
        None,
        ("'Confidence' is 0 in 12 rows", "remove these rows"),
    ),
    Shape(
        "one row per label, some images with one, the others with two",
        "refused: suggests `data.rows: add`",
        table("f,class,xmin", ["x"], ["1"]) + table("", ["x", "y"], ["2"]),
        None,
        ("needs two labels or more, got x", "data.rows: add"),
    ),
    Shape(
        "one row per label",
        "refused: suggests `data.rows: add`",
        table("f,label", ["x", "y"]) + table("", ["y", "x"]),
        None,
        ("data.rows: add",),
    ),
    Shape(
        "one row per box, equal labels",
        "used once",
        table("f,label", ["x", "y"]) * 1 + table("", ["x", "y"]),
        ["x", "y"],
        ("24 rows repeat",),
    ),
    Shape(
        "one row per box, with sizes and positions",
        "by `data.columns`",
        table("filename,width,class,xmin", ["48"], ["rbc", "wbc"], ["1"]) + table("", ["48"], ["rbc", "wbc"], ["9"]),
        ["rbc", "wbc"],
        reading=Reading(labels=("class",), rows="add"),
    ),
    Shape(
        "medical table: headings with blanks, lists separated by bars",
        "by `data.columns`",
        table(
            "Image Index,Finding Labels,Follow-up #,Patient ID,View Position",
            ["No Finding", "Effusion|Mass", "Mass", "Nodule"],
            ["0"],
            ["7", "7", "8"],
            ["PA"],
        ),
        ["No Finding", "Effusion|Mass", "Mass", "Nodule"],
        reading=Reading(image="Image Index", labels=("Finding Labels",), reserved=frozenset(["Patient ID"])),
    ),
    Shape(
        "group in the first column, names without extension",
        "by `data.columns`",
        "lesion_id,image_id,dx,age\n"
        + "".join(f"H{n // 2},p{n:02d},{dx},{40.0 + n}\n" for n, dx in enumerate(cycled(["nv", "mel", "bkl"]))),
        ["nv", "mel", "bkl"],
        ("by adding the extension",),
        reading=Reading(image="image_id", labels=("dx",), reserved=frozenset(["lesion_id"])),
    ),
    Shape(
        "names without extension",
        "unique match",
        table("f,label", ["a", "b"]).replace(".jpg", ""),
        ["a", "b"],
        ("by adding the extension",),
    ),
    Shape(
        "names that differ in case",
        "unique match",
        table("f,label", ["a", "b"]),
        ["a", "b"],
        ("ignoring case",),
        files=[file.upper() for file in FILES],
    ),
    Shape(
        "files in subfolders",
        "unique match",
        table("f,label", ["a", "b"]),
        ["a", "b"],
        ("in a subfolder",),
        files=[f"s{n % 2}/{file}" for n, file in enumerate(FILES)],
    ),
    Shape(
        "names that include the image folder",
        "unique match",
        table("f,label", ["a", "b"]).replace("\np", "\nimages/p"),
        ["a", "b"],
        ("without their leading folders",),
    ),
    Shape(
        "names relative to the label file (`../images/…`)",
        "read",
        table("f,label", ["a", "b"]).replace("\np", "\n../images/p"),
        ["a", "b"],
        name="tables/labels.csv",
    ),
    Shape(
        "absolute paths of another machine",
        "unique match",
        table("image,choice", ["a", "b"]).replace("\np", "\nC:\\data\\s\\p"),
        ["a", "b"],
        ("without their leading folders",),
        files=[f"s/{file}" for file in FILES],
    ),
    Shape(
        "backslashes in names",
        "read as /",
        table("f,label", ["a", "b"]).replace("\np", "\ns\\p"),
        ["a", "b"],
        ("backslashes",),
        files=[f"s/{file}" for file in FILES],
    ),
    Shape(
        "names that several files match",
        "refused",
        table("f,label", ["a", "b"]),
        None,
        ("matches 2 files",),
        files=[f"{s}/{file}" for s in "xy" for file in FILES],
    ),
    Shape(
        "classes: table with any header",
        "ids get their names",
        table("f,label", IDS),
        INSECTS,
        classes=("c.csv", "attribute_id,attribute_name\n0,ant\n1,bee\n2,wasp\n"),
    ),
    Shape(
        "classes: configuration of a model with `id2label`",
        "ids get their names",
        table("f,label", IDS),
        INSECTS,
        classes=("config.json", json.dumps({"id2label": dict(enumerate(INSECTS)), "label2id": {}})),
    ),
    Shape(
        "classes: name to number",
        "ids get their names",
        table("f,label", IDS),
        INSECTS,
        classes=("c.json", '{"ant": 0, "bee": 1, "wasp": 2}'),
    ),
    Shape(
        "classes: table with any header, several labels per image",
        "ids get their names",
        table("id,attribute_ids", ["0 2", "2", "1 0"]),
        ["tag::ant|tag::wasp", "tag::wasp", "tag::bee|tag::ant"],
        classes=("c.csv", "attribute_id,attribute_name\n0,tag::ant\n1,tag::bee\n2,tag::wasp\n"),
    ),
    Shape(
        "classes: numbers such as 1.0",
        "ids get their names",
        table("f,label", ["0.0", "1.0", "2.0"]),
        INSECTS,
        classes=("c.txt", "ant\nbee\nwasp\n"),
    ),
    Shape(
        "classes: ImageNet's `LOC_synset_mapping.txt`",
        "ids get their names",
        table("f,label", ["n02123045", "n02084071", "n01503061"]),
        ["tabby, tabby cat", "dog, domestic dog", "bird"],
        classes=("c.txt", "n01503061 bird\nn02084071 dog, domestic dog\nn02123045 tabby, tabby cat\n"),
    ),
    Shape(
        "classes: one name per line",
        "ids get their names",
        table("f,label", IDS),
        INSECTS,
        classes=("c.txt", "ant\nbee\nwasp\n"),
    ),
    Shape(
        "classes: one name per line, numbers from 1",
        "ids get their names",
        table("f,label", ["1", "2", "3"]),
        INSECTS,
        ("from 1",),
        classes=("c.txt", "ant\nbee\nwasp\n"),
    ),
]


def read(shape: Shape, folder: Path) -> Dataset:
    for file in shape.files:
        path = folder / "images" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (folder / shape.name).parent.mkdir(exist_ok=True)
    (folder / shape.name).write_text(shape.text, encoding="utf-8")
    classes = None
    if shape.classes is not None:
        classes = folder / shape.classes[0]
        classes.write_text(shape.classes[1])
    return read_dataset(folder / "images", folder / shape.name, classes=classes, reading=shape.reading)


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.what)
def test_every_shape_has_its_outcome(tmp_path: Path, shape: Shape) -> None:
    assert f"| {shape.what} | {shape.outcome} |" in DOCS
    if shape.sets is None:
        with pytest.raises(ConfigError) as caught:
            read(shape, tmp_path)
        text = str(caught.value)
        assert shape.name in text
    else:
        dataset = read(shape, tmp_path)
        expected = Counter(label for text in cycled(shape.sets) for label in text.split("|") if label)
        assert counts(dataset) == {**expected, **dict.fromkeys(shape.empty, 0)}
        assert sorted(dataset.files) == sorted(shape.files) and dataset.rejected == ()
        text = " ".join(dataset.notes)
        if shape.split is not None:
            parts = given_parts(dataset, shape.split[0])
            assert parts is not None and [int((parts == part).sum()) for part in range(3)] == shape.split[1]
    assert all(message in text for message in shape.messages), text


def touched(folder: Path, names: Sequence[str]) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


def counts(dataset: Dataset) -> dict[str, int]:
    return dict(zip(dataset.classes, dataset.labels.sum(axis=0).tolist(), strict=True))


@pytest.mark.parametrize(
    "words", [("train", "val", "test"), ("Training", "dev", "hold-out"), ("TRAIN", "valid", "testing")]
)
def test_folders_of_a_split_are_not_labels(tmp_path: Path, words: Sequence[str]) -> None:
    sizes = dict(zip(words, (6, 2, 1), strict=True))
    names = [f"{part}/{label}/{n}.jpg" for part, size in sizes.items() for label in INSECTS for n in range(size)]
    dataset = read_dataset(touched(tmp_path, names))
    assert counts(dataset) == dict.fromkeys(INSECTS, 9)
    assert dataset.parts is not None and [int((dataset.parts == part).sum()) for part in range(3)] == [18, 6, 3]
    assert "are the split" in " ".join(dataset.notes)


@pytest.mark.parametrize(
    ("train", "test"),
    [
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("train_images", "test_images"),
        ("train2017", "test2017"),
        ("flowers-train", "flowers-test"),
        ("train/images", "test/images"),
    ],
)
def test_folders_whose_names_differ_only_in_the_part_are_a_split(tmp_path: Path, train: str, test: str) -> None:
    names = [f"{place}/{label}/{n}.jpg" for place in (train, test) for label in INSECTS for n in range(2)]
    dataset = read_dataset(touched(tmp_path, names))
    assert counts(dataset) == dict.fromkeys(INSECTS, 4)
    assert dataset.parts is not None and dataset.parts.tolist().count(2) == 6


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["images/1.png", "masks/1.png"], "the folders images, masks are not labels"),
        (["train/images/1.png", "train/labels/1.txt", "val/images/2.png"], "the folders images, labels are not labels"),
        (["train/a/1.png", "train/b/1.png", "extra/a/1.png"], "train holds only folders, .* but extra next to"),
        (["data/a/1.png", "data/b/1.png"], "got data; .* if the folders in data are the labels, let data.images end"),
    ],
)
def test_folders_that_are_not_labels_are_refused(tmp_path: Path, names: Sequence[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_dataset(touched(tmp_path, names))


def test_label_folders_that_differ_in_case_give_a_note(tmp_path: Path) -> None:
    dataset = read_dataset(touched(tmp_path, ["train/Cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg"]))
    assert counts(dataset) == {"Cat": 1, "cat": 1, "dog": 1}
    assert "labels differ only in case or blanks: 'Cat', 'cat'" in " ".join(dataset.notes)


@pytest.mark.parametrize(
    ("encoding", "text", "outcome"),
    [
        ("cp1252", "f,label\na.jpg,Hündin\nb.jpg,“Rüde” – alt\n", {"Hündin": 1, "“Rüde” – alt": 1}),
        ("shift-jis", "f,label\na.jpg,犬、\nb.jpg,猫、\n", "is not UTF-8, and probably not Windows-1252"),
        ("utf-16-le", "f,label\na.jpg,1\nb.jpg,2\n", "seems to be UTF-16-LE; .* set data.encoding: utf-16-le"),
        ("utf-16-be", "f,label\na.jpg,猫\nb.jpg,犬\n", "seems to be UTF-16-BE; .* set data.encoding: utf-16-be"),
        ("utf-32", "f,label\na.jpg,1\nb.jpg,2\n", "seems to be UTF-32; .* set data.encoding: utf-32"),
    ],
)
def test_other_encodings_give_a_note_or_are_refused(tmp_path: Path, encoding: str, text: str, outcome: object) -> None:
    (tmp_path / "labels.csv").write_bytes(text.encode(encoding))
    if isinstance(outcome, str):
        with pytest.raises(ConfigError, match=outcome):
            read_dataset(tmp_path, tmp_path / "labels.csv")
    else:
        dataset = read_dataset(tmp_path, tmp_path / "labels.csv")
        assert counts(dataset) == outcome and "is read as Windows-1252" in " ".join(dataset.notes)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("labels/a.md", "0 0.5 0.5 1 1", "holds no annotation .* 1 other files .first: a.md.*Pascal VOC .*YOLO"),
        (
            "a.xml",
            "<annotation><filename>a.jpg</filename></annotation>",
            "in the format CVAT for images, got <annotation> without images; Pascal VOC is read from a folder",
        ),
        ("a.json", '{"images": [{"id": 1}]}', "must map each file name to its labels, .* got the key 'images'"),
        ("a.json", '[["a.jpg", "cat"]]', "has no 'categories'.* or a list of objects"),
    ],
)
def test_errors_of_other_formats_name_the_supported_ones(tmp_path: Path, name: str, text: str, message: str) -> None:
    touched(tmp_path, [name])
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_dataset(tmp_path, tmp_path / name.split("/")[0])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("data.yaml", "nc: 3\nnames: ['ant', 'bee', 'wasp']\n", "is not a list of names"),
        ("map.pbtxt", "item {\n  id: 0\n  name: 'ant'\n}\n", "is not a list of names"),
        ("config.json", '{"labels": {"0": "ant", "1": "bee"}}', "got nested values"),
        ("classes.txt", "ant\nbee\n", "label '2' is not listed"),
    ],
)
def test_files_that_are_not_lists_of_classes_are_refused(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "labels.csv").write_text(table("f,label", IDS))
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_dataset(tmp_path, tmp_path / "labels.csv", classes=tmp_path / name)


def test_images_without_a_row_are_found(tmp_path: Path) -> None:
    images = touched(tmp_path / "images", [*FILES, "s/1.jpg", "s/2.jpg", "s/.3.jpg", "s/notes.txt"])
    (tmp_path / "labels.csv").write_text(table("f,label", ["a", "b"]) + "s/1.jpg,a\n")
    assert read_dataset(images, tmp_path / "labels.csv").unlisted() == ["s/2.jpg"]


def test_a_label_may_be_called_train(tmp_path: Path) -> None:
    dataset = read_dataset(touched(tmp_path, ["train/1.jpg", "bus/1.jpg"]))
    assert counts(dataset) == {"bus": 1, "train": 1} and dataset.parts is None


def test_every_file_in_a_label_folder_is_used_or_listed(tmp_path: Path) -> None:
    folder = touched(tmp_path, ["gull/1.jpg", "egret/1.jpg", "gull/notes.txt", "gull/2.psd", "egret/3.CR2", "top.json"])
    dataset = read_dataset(folder)
    assert counts(dataset) == {"egret": 2, "gull": 2}
    assert {file for file, _ in dataset.unreadable()} == {"gull/2.psd", "egret/3.CR2"}
    assert {file for file, _ in dataset.ignored} == {"gull/notes.txt", "top.json"}


def test_a_label_folder_without_images_is_refused(tmp_path: Path) -> None:
    touched(tmp_path, ["gull/1.jpg", "egret/1.jpg", "heron/notes.txt"])
    with pytest.raises(ConfigError, match="the folder heron holds no image"):
        read_dataset(tmp_path)


def test_annotations_in_deeper_folders_and_in_upper_case(tmp_path: Path) -> None:
    for number, place in enumerate(("a.xml", "b.XML", "batch/c.xml", "batch/d.Xml")):
        file = touched(tmp_path / "ann", [place]) / place
        name = f"<filename>{number}.jpg</filename>"
        file.write_text(f"<annotation>{name}<object><name>{'xy'[number % 2]}</name></object></annotation>")
    touched(tmp_path / "images", [f"{number}.jpg" for number in range(4)])
    dataset = read_dataset(tmp_path / "images", tmp_path / "ann")
    assert counts(dataset) == {"x": 2, "y": 2} and dataset.absent() == []


def coco(folder: Path, categories: Sequence[tuple[int, str, str | None]]) -> Dataset:
    """A data set whose images have the categories 1 and 2 in turn."""
    content = {
        "images": [{"id": n, "file_name": file} for n, file in enumerate(FILES)],
        "categories": [{"id": id, "name": name, "supercategory": above} for id, name, above in categories],
        "annotations": [{"image_id": n, "category_id": 1 + n % 2, "iscrowd": n % 2} for n in range(ROWS)],
    }
    (folder / "a.json").write_text(json.dumps(content))
    return read_dataset(touched(folder / "images", FILES), folder / "a.json")


def test_categories_that_are_only_parents_are_left_out(tmp_path: Path) -> None:
    categories = [(0, "defects", None), (1, "crack", "defects"), (2, "void", "defects"), (3, "void", None)]
    dataset = coco(tmp_path, categories)
    assert counts(dataset) == {"crack": 12, "void": 12}
    assert "'defects' is left out" in " ".join(dataset.notes)


def test_equal_category_names_are_one_label_if_all_but_one_are_empty(tmp_path: Path) -> None:
    dataset = coco(tmp_path, [(0, "cells", None), (1, "cells", "cells"), (2, "blast", "cells")])
    assert counts(dataset) == {"blast": 12, "cells": 12}
    assert "'cells' is listed 2 times" in " ".join(dataset.notes)
    with pytest.raises(ConfigError, match="two categories are named 'cells'"):
        coco(tmp_path, [(1, "cells", None), (2, "cells", None)])


def test_absolute_names_inside_the_image_folder(tmp_path: Path) -> None:
    images = touched(tmp_path / "images", FILES)
    (tmp_path / "labels.csv").write_text(table("image,label", ["shoe", "bag"]).replace("\np", f"\n{images}/p"))
    dataset = read_dataset(images, tmp_path / "labels.csv")
    assert sorted(dataset.files) == FILES and counts(dataset) == {"bag": 12, "shoe": 12} and not dataset.absent()


def test_an_annotated_image_that_is_listed_twice(tmp_path: Path) -> None:
    images = [{"id": n, "file_name": file} for n, file in enumerate(FILES)]
    content = {"images": [*images, images[0]], "categories": [{"id": n, "name": INSECTS[n]} for n in range(2)]}
    content["annotations"] = [{"image_id": n, "category_id": n % 2} for n in range(ROWS)]
    touched(tmp_path / "images", FILES)
    (tmp_path / "a.json").write_text(json.dumps(content))
    assert counts(read_dataset(tmp_path / "images", tmp_path / "a.json")) == {"ant": 12, "bee": 12}
    content["images"][-1] = {"id": 0, "file_name": "other.jpg"}
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match="two images have the id 0; give each its own"):
        read_dataset(tmp_path / "images", tmp_path / "a.json")


def test_names_in_another_unicode_composition(tmp_path: Path) -> None:
    """As macOS writes them, with separate accents."""
    names = ["Käfer 1.jpg", "Müller/é.jpg", "plain.jpg"]
    apart = [unicodedata.normalize("NFD", name) for name in names]
    images = touched(tmp_path / "images", apart)
    (tmp_path / "labels.csv").write_text("f,label\n" + "".join(f"{name},{n % 2}\n" for n, name in enumerate(names)))
    dataset = read_dataset(images, tmp_path / "labels.csv")
    assert sorted(dataset.files) == sorted(apart) and dataset.absent() == []
    assert "2 file names were matched in another Unicode composition (first: Käfer 1.jpg" in " ".join(dataset.notes)


def test_images_with_an_uncertain_label_are_dropped(tmp_path: Path) -> None:
    text = table("Path,Edema,Mass,age", ["1", "0", "-1"], ["0", "1", "1"], ["30", "40", "50"])
    (tmp_path / "labels.csv").write_text(text)
    images = touched(tmp_path / "images", FILES)
    dataset = read_dataset(images, tmp_path / "labels.csv", reading=Reading(uncertain="drop"))
    assert counts(dataset) == {"Edema": 8, "Mass": 8} and len(dataset.files) == 16
    assert dataset.rejected[:1] == (("p02.jpg", "label 'Edema' is uncertain"),) and len(dataset.rejected) == 8
    assert dataset.columns["age"].tolist() == ["30", "40"] * 8
    assert "8 cells are -1 (uncertain): their images are left out (data.uncertain)" in dataset.notes


def test_results_of_thaw_among_the_images_are_left_out(tmp_path: Path) -> None:
    names = [f"{label}/{n}.jpg" for label in INSECTS[:2] for n in range(3)]
    folder = touched(tmp_path, [*names, "results/one/events.jsonl", "results/one/search.yaml", "results/one/a.png"])
    dataset = read_dataset(folder)
    assert counts(dataset) == {"ant": 3, "bee": 3} and ("results", "written by Thaw") in dataset.ignored


def test_a_table_called_metadata_may_have_another_purpose(tmp_path: Path) -> None:
    touched(tmp_path, ["ant/1.jpg", "bee/1.jpg"])
    (tmp_path / "metadata.csv").write_text("patient,age\n1,30\n2,40\n")
    assert counts(read_dataset(tmp_path)) == {"ant": 1, "bee": 1}


def test_one_column_of_0_and_1(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text(table("f,tumour", ["0", "1"]))
    with pytest.raises(ConfigError, match="got tumour; .* with data.columns.labels: tumour, 0 and 1 are two labels"):
        read_dataset(tmp_path, tmp_path / "labels.csv")
    dataset = read_dataset(tmp_path, tmp_path / "labels.csv", reading=Reading(labels=("tumour",)))
    assert counts(dataset) == {"0": 12, "1": 12}


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_imagefolder_with_metadata(tmp_path: Path, ending: str) -> None:
    import pandas as pd

    for part, size in (("train", 6), ("test", 2)):
        names = [f"{number}.jpg" for number in range(size)]
        rows = pd.DataFrame({"file_name": names, "label": ["ok", "bad"] * (size // 2)})
        touched(tmp_path / part, names)
        path = tmp_path / part / f"metadata.{ending}"
        if ending == "csv":
            rows.to_csv(path, index=False)
        elif ending == "jsonl":
            rows.to_json(path, orient="records", lines=True)
        else:
            rows.to_parquet(path)
    dataset = read_dataset(tmp_path)
    assert counts(dataset) == {"bad": 4, "ok": 4} and dataset.absent() == []
    assert dataset.parts is not None and dataset.parts.tolist().count(2) == 2


@pytest.mark.parametrize(
    ("text", "expected", "note"),
    [
        (table("f,label", ["a", "b"]) + "total,24\n", {"a": 12, "b": 12}, ""),
        (table("f,label", ["a", "b"]).replace("\n", "\n---,---\n", 1), {"a": 12, "b": 12}, ""),
        (table("f,labels", quoted(["{a, b}", "{b}"])), {"a": 12, "b": 24}, "are read as lists"),
        (table("f,label", ["a", "-", "?"]), {"-": 8, "?": 8, "a": 8}, "'-', '?' in 'label' are read as labels"),
        (table("f,labels", ["a/b/c", "a/b", "a"]), {"a": 8, "a/b": 8, "a/b/c": 8}, "data.separator: '/'"),
        (table("f,a,b", ["Y", "N"], ["N", "Y", "Y"]), {"a": 12, "b": 16}, "labels are the 0/1 columns a, b"),
        (table("f,a,b", ["t", "f"], ["f", "t", "t"]), {"a": 12, "b": 16}, "labels are the 0/1 columns a, b"),
        (table("f,family,species", ["x"], ["a", "b"]), {"a": 12, "b": 12}, "not used as labels: family"),
        (table("f,labels", ["猫、狗", "狗", "猫"]), {"狗": 16, "猫": 16}, "are separated by '、'"),
        (table("f,labels", ["猫，狗", "狗", "猫"]), {"狗": 16, "猫": 16}, "are separated by '，'"),
        (
            table("f,label", ["a", "a\u200b"]),
            {"a": 12, "a\u200b": 12},
            "differ only in case or blanks: 'a', 'a\\u200b'",
        ),
        (table("f,label", ["🐱", "🐶"]), {"🐱": 12, "🐶": 12}, ""),
        (table("f,category_id,holder", [3, 5], ["Ann", "Bob"]), {"3": 12, "5": 12}, "not used as labels: holder"),
        (table("id,genre,poster", ["a", "b"], ["http://x.org/y.jpg"]), {"a": 12, "b": 12}, "used as labels: poster"),
        (table("image      label", ["polar bear", "cat"], separator="  "), {"cat": 12, "polar bear": 12}, "by blanks"),
    ],
)
def test_further_tables(tmp_path: Path, text: str, expected: dict[str, int], note: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    dataset = read_dataset(touched(tmp_path, FILES), tmp_path / "labels.csv")
    assert counts(dataset) == expected and len(dataset.files) == ROWS and note in " ".join(dataset.notes)


def test_roboflow_puts_a_table_next_to_the_images_of_each_part(tmp_path: Path) -> None:
    for part, size in (("train", 12), ("valid", 4), ("test", 2)):
        names = [f"{part}{number}_jpg.rf.3f2a.jpg" for number in range(size)]
        rows = [f"{name}, {number % 2}, {1 - number % 2}, 0\n" for number, name in enumerate(names)]
        touched(tmp_path / part, names)
        (tmp_path / part / "_classes.csv").write_text("filename, bee, wasp, ant\n" + "".join(rows))
    dataset = read_dataset(tmp_path)
    assert counts(dataset) == {"ant": 0, "bee": 9, "wasp": 9} and dataset.absent() == []
    assert dataset.parts is not None and [(dataset.parts == part).sum() for part in range(3)] == [12, 4, 2]


def test_lvis_is_refused_as_absent_labels_are_not_known(tmp_path: Path) -> None:
    content = {"images": [{"id": 1, "coco_url": "http://images.cocodataset.org/train2017/1.jpg"}], "categories": []}
    (tmp_path / "lvis.json").write_text(json.dumps({**content, "annotations": []}))
    with pytest.raises(ConfigError, match="'coco_url' and no 'file_name', as in LVIS"):
        read_dataset(tmp_path, tmp_path / "lvis.json")


def test_images_of_json_lines_with_their_path(tmp_path: Path) -> None:
    rows = [{"image": {"path": file, "bytes": None}, "label": "ab"[n % 2]} for n, file in enumerate(FILES)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    assert read_dataset(tmp_path, tmp_path / "rows.jsonl").files == tuple(FILES)
