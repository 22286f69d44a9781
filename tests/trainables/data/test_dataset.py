"""Readers of label files, and the resulting data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import needs_photos, thaw_data
from thaw.spaces.errors import ConfigError
from thaw.trainables.data.dataset import READERS, Dataset, read_dataset
from thaw.trainables.data.formats import FROM_IMAGES


def read(tmp_path: Path, text: str | bytes, name: str = "labels.csv", **options: object) -> Dataset:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_dataset(tmp_path / "images", path, **options)  # type: ignore[arg-type]


def sets(dataset: Dataset) -> dict[str, set[str]]:
    names = np.array(dataset.classes)
    return {file: set(names[row]) for file, row in zip(dataset.files, dataset.labels, strict=True)}


THREE = {"a.jpg": {"1", "2"}, "b.jpg": {"10"}, "c.jpg": set()}

SPELLINGS = {
    "header, comma, blanks": "filename,labels\na.jpg,1 2\nb.jpg,10\nc.jpg,\n",
    "no header, tab, commas": "a.jpg\t1,2\nb.jpg\t10\nc.jpg\t\n",
    "semicolon, quoted commas": 'file;tags\na.jpg;"1,2"\nb.jpg;10\nc.jpg;\n',
    "comma, semicolons": "a.jpg,1;2\nb.jpg,10\nc.jpg,\n",
    "semicolon, commas": "a.jpg;1,2\nb.jpg;10,\nc.jpg;,\n",
    "bars, unusual headings": "photo,what\na.jpg,1|2\nb.jpg,10\nc.jpg,\n",
    "columns swapped": "label,image\n1 2,a.jpg\n10,b.jpg\n,c.jpg\n",
    "one-hot": "filename,1,2,10\na.jpg,1,1,0\nb.jpg,0,0,1\nc.jpg,0,0,0\n",
    "one-hot, words": "filename;1;2;10\na.jpg;True;1.0;0\nb.jpg;False;0.0;1\nc.jpg;False;0;0\n",
    "Windows": b"\xef\xbb\xbffilename,labels\r\na.jpg,1 2\r\n\r\nb.jpg,10\r\nc.jpg,\r\n",
}


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_csv_spellings_mean_the_same(tmp_path: Path, text: str | bytes) -> None:
    dataset = read(tmp_path, text)
    assert dataset.classes == ("1", "2", "10"), "whole numbers are sorted as numbers"
    assert sets(dataset) == THREE
    assert dataset.labels.dtype == bool
    assert dataset.rejected == ()
    assert dataset.columns.shape == (3, 0)


def test_paper_format(tmp_path: Path) -> None:
    dataset = read(tmp_path, "0.jpg\t13,18\n1.jpg\t1\n", name="train.txt")
    assert sets(dataset) == {"0.jpg": {"13", "18"}, "1.jpg": {"1"}}
    assert dataset.classes == ("1", "13", "18")
    with pytest.raises(ConfigError, match="got one column"):
        read(tmp_path, "0.jpg,13\n", format="paper")


def test_file_names_and_columns_stay_text(tmp_path: Path) -> None:
    dataset = read(tmp_path, "image_id,label,split,age\n001,cat,train,07\nNA,dog,val,NA\n1e5,cat,test,\n")
    assert dataset.files == ("001", "NA", "1e5")
    assert dataset.columns.to_dict("list") == {"split": ["train", "val", "test"], "age": ["07", "NA", ""]}
    assert dataset.single_label


def test_latin_1(tmp_path: Path) -> None:
    assert read(tmp_path, "a.jpg,Hündin\nb.jpg,Kater\n".encode("latin-1")).classes == ("Hündin", "Kater")


def test_blanks_within_labels(tmp_path: Path) -> None:
    dataset = read(tmp_path, "a.jpg,traffic light|stop sign\nb.jpg,stop sign\n")
    assert dataset.classes == ("stop sign", "traffic light")
    classes = tmp_path / "classes.json"
    classes.write_text('["traffic light", "stop sign"]')
    dataset = read(tmp_path, "a.jpg,traffic light\nb.jpg,stop sign\n", classes=classes)
    assert sets(dataset) == {"a.jpg": {"traffic light"}, "b.jpg": {"stop sign"}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.json", '{"7": "dog", "3": "cat", "5": "owl"}'),
        ("classes.csv", "id,name\n7,dog\n3,cat\n5,owl\n"),
        ("classes.tsv", "7\tdog\n3\tcat\n5\towl\n"),
    ],
)
def test_classes_name_and_order_labels(tmp_path: Path, name: str, text: str) -> None:
    classes = tmp_path / name
    classes.write_text(text)
    dataset = read(tmp_path, "a.jpg,3 7\nb.jpg,7\n", classes=classes)
    assert dataset.classes == ("dog", "cat", "owl"), "in listed order, also one without images"
    assert sets(dataset) == {"a.jpg": {"cat", "dog"}, "b.jpg": {"dog"}}
    assert sets(read(tmp_path, "a.jpg,cat dog\nb.jpg,dog\n", classes=classes)) == sets(dataset)
    with pytest.raises(ConfigError, match="label '4' is not listed in .*classes"):
        read(tmp_path, "a.jpg,3 4\nb.jpg,7\n", classes=classes)


def test_classes_choose_the_one_hot_columns(tmp_path: Path) -> None:
    classes = tmp_path / "classes.json"
    classes.write_text('["dog", "cat"]')
    dataset = read(tmp_path, "filename,cat,dog,indoors\na.jpg,1,0,1\nb.jpg,0,1,0\n", classes=classes)
    assert sets(dataset) == {"a.jpg": {"cat"}, "b.jpg": {"dog"}}
    assert list(dataset.columns) == ["indoors"]


def test_rows_that_cannot_be_used(tmp_path: Path) -> None:
    rows = ["./a.jpg,1", "sub\\b.jpg,2", "a.jpg,1", "c.jpg,1", "c.jpg,2", "../d.jpg,1", "/e.jpg,1", "C:\\f.jpg,1", ",1"]
    dataset = read(tmp_path, "filename,labels\n" + "\n".join(rows))
    assert dataset.files == ("a.jpg", "sub/b.jpg")
    assert dataset.labels.tolist() == [[True, False], [False, True]]
    assert sorted(dataset.rejected) == [
        ("", "no file name"),
        ("../d.jpg", "outside the image folder"),
        ("/e.jpg", "outside the image folder"),
        ("C:\\f.jpg", "outside the image folder"),
        ("c.jpg", "rows with contradicting labels"),
    ]
    notes = " ".join(dataset.notes)
    assert "1 row repeats an image" in notes and "data.rows: add" in notes


def test_columns_follow_the_kept_rows(tmp_path: Path) -> None:
    dataset = read(tmp_path, "filename,labels,who\na.jpg,1,x\nb.jpg,1,y\nb.jpg,2,y\nc.jpg,2,z\n")
    assert dataset.files == ("a.jpg", "c.jpg")
    assert dataset.columns["who"].tolist() == ["x", "z"]
    assert dataset.columns.index.tolist() == [0, 1]


COCO = {
    "categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}],
    "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}, {"id": 3, "file_name": "c.jpg"}],
    "annotations": [
        {"image_id": 1, "category_id": 18},
        {"image_id": 1, "category_id": 18},
        {"image_id": 2, "category_id": 3},
        {"image_id": 2, "category_id": 18},
    ],
}


def test_coco(tmp_path: Path) -> None:
    dataset = read(tmp_path, json.dumps(COCO), name="instances.json")
    assert dataset.classes == ("dog", "car")
    assert sets(dataset) == {"a.jpg": {"dog"}, "b.jpg": {"dog", "car"}, "c.jpg": set()}
    assert not dataset.single_label


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"categories": None}, "'categories' must be a list"),
        ({"images": [{"id": 1}]}, r"images\[0\] has no 'file_name'"),
        ({"annotations": [{"image_id": 9, "category_id": 3}]}, "refers to 9, which is not in 'images'"),
        ({"annotations": [{"image_id": 1, "category_id": 4}]}, "refers to '4', which is not in 'categories'"),
        ({"categories": [{"id": 18, "name": "dog"}, {"id": 3, "name": "dog"}]}, "two categories are named 'dog'"),
    ],
)
def test_coco_errors_name_file_and_key(tmp_path: Path, change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, json.dumps(COCO | change), name="instances.json")
    assert "instances.json" in str(caught.value)
    lacking = {key: value for key, value in COCO.items() if key != next(iter(change))}
    with pytest.raises(ConfigError, match=f"has no '{next(iter(change))}'"):
        read(tmp_path, json.dumps(lacking), name="instances.json")


def test_voc(tmp_path: Path) -> None:
    folder = tmp_path / "Annotations"
    folder.mkdir()
    thing = "<object><name>{}</name><part><name>head</name></part></object>"
    for file, names in {"b.jpg": ["dog", "dog", "cat"], "a.jpg": ["cat"], "c.jpg": []}.items():
        content = f"<filename>{file}</filename>{''.join(map(thing.format, names))}"
        (folder / f"{file[0]}.xml").write_text(f"<annotation>{content}</annotation>")
    dataset = read_dataset(tmp_path / "JPEGImages", folder)
    assert dataset.files == ("a.jpg", "b.jpg", "c.jpg")
    assert sets(dataset) == {"a.jpg": {"cat"}, "b.jpg": {"cat", "dog"}, "c.jpg": set()}
    for text, message in (
        ("<annotation/>", "d.xml: has no 'filename'"),
        ("<a><filename>d.jpg</filename><object/></a>", "d.xml: has no 'object/name'"),
        ("<a>", "d.xml: is not XML"),
    ):
        (folder / "d.xml").write_text(text)
        with pytest.raises(ConfigError, match=message):
            read_dataset(tmp_path / "JPEGImages", folder)


def test_folders(tmp_path: Path) -> None:
    for name in ("dog/1.png", "dog/old/2.JPG", "cat/1.png", "loose.png", ".trash/3.png", "dog/notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    dataset = read_dataset(tmp_path)
    assert sets(dataset) == {"cat/1.png": {"cat"}, "dog/1.png": {"dog"}, "dog/old/2.JPG": {"dog"}}
    assert dataset.single_label
    assert dataset.rejected == (("loose.png", "not in the folder of a label"),)
    assert dataset.absent() == []


def test_absent(tmp_path: Path) -> None:
    dataset = read(tmp_path, "a.png,1\nb.png,2\nsub/c.png,1\nnowhere/d.png,2\n")
    assert dataset.absent() == list(dataset.files), "the whole image folder may be absent"
    (tmp_path / "images" / "sub").mkdir(parents=True)
    Image.new("L", (4, 4)).save(tmp_path / "images" / "b.png")
    Image.new("L", (4, 4)).save(tmp_path / "images" / "sub" / "c.png")
    assert dataset.absent() == ["a.png", "nowhere/d.png"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no rows"),
        ("filename,labels\n", "holds a header and no rows"),
        ("a.jpg\nb.jpg\n", "got one column"),
        ("a.jpg,1,2\nb.jpg,1\n", "row 2 has 2 columns, row 1 has 3"),
        ("a.jpg,1,2\nb.jpg,1,3\n", "3 columns without headings"),
        ("filename,labels,labels\na.jpg,1,2\n", "two columns are named 'labels'"),
        ("filename,age,who\na.jpg,31,x\n", "no column of labels among filename, age, who"),
        ("a.jpg,1\nb.jpg,1\n", "needs two labels or more, got 1"),
        ("a.jpg,\nb.jpg,\n", "needs two labels or more, got none"),
        ("[{}, {}]", "holds only empty records; give each image a file name and labels"),
    ],
)
def test_csv_errors(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        read(tmp_path, text)
    assert caught.value.key == "labels" and "labels.csv" in str(caught.value)


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="does not exist"):
        read_dataset(tmp_path, tmp_path / "nowhere.csv")
    with pytest.raises(ConfigError, match="unknown format 'cvs'; did you mean csv"):
        read_dataset(tmp_path, format="cvs")
    with pytest.raises(ConfigError, match="is not a readable folder"):
        read_dataset(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="holds no image in the folder of a label"):
        read_dataset(tmp_path)
    with pytest.raises(ConfigError, match="format voc needs a folder"):
        read(tmp_path, "a.jpg,1\n", format="voc")
    with pytest.raises(ConfigError, match="is not JSON"):
        read(tmp_path, "a.jpg,1\n", format="coco")
    with pytest.raises(ConfigError, match="takes its labels from the folders in data.images"):
        read(tmp_path, "a.jpg,1\n", format="folders")
    (tmp_path / "classes.json").write_text('{"1": "dog", "2": "dog"}')
    with pytest.raises(ConfigError, match="lists the name 'dog' twice"):
        read(tmp_path, "a.jpg,1\n", classes=tmp_path / "classes.json")


@pytest.mark.parametrize("format", [name for name in READERS if name not in FROM_IMAGES])
def test_every_reader_asks_for_labels(tmp_path: Path, format: str) -> None:
    with pytest.raises(ConfigError, match="add data.labels"):
        read_dataset(tmp_path, format=format)


@needs_photos
def test_real_photos() -> None:
    data = thaw_data()
    assert data is not None
    folder = data / "coco18"
    dataset = read_dataset(folder / "images", folder / "labels.csv", classes=folder / "classes.json")
    assert len(dataset.files) == 4000 and len(dataset.classes) == 18
    count = dict(zip(dataset.classes, dataset.labels.sum(axis=0).tolist(), strict=True))
    assert count["parking meter"] == 22
    assert round(count["person"] / 4000, 2) == 0.76
    assert dataset.absent() == []
