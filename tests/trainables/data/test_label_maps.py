"""Maps of files and labels in JSON and YAML."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.conftest import ROOT
from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset

DOCS = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
FILES = [f"p{number:02d}.jpg" for number in range(24)]
SETS = [["cat"], ["cat", "dog"], ["fox"], []] * 6
COUNTS = {"cat": 12, "dog": 6, "fox": 6}
LABELS = ["cat", "dog", "fox"]
BY_FILE = dict(zip(FILES, SETS, strict=True))


def read(folder: Path, text: str, name: str = "labels.json") -> Dataset:
    (folder / "images").mkdir()
    for file in FILES:
        (folder / "images" / file).touch()
    (folder / name).write_text(text, encoding="utf-8")
    return read_dataset(folder / "images", folder / name)


def counts(dataset: Dataset) -> dict[str, int]:
    return dict(zip(dataset.classes, dataset.labels.sum(axis=0).tolist(), strict=True))


@pytest.mark.parametrize(
    ("what", "content"),
    [
        ("file name → label or list of labels", BY_FILE),
        ("file name → label or list of labels", {f: s[0] if len(s) == 1 else s for f, s in BY_FILE.items()}),
        ("file name → label or list of labels", {f[:-4]: s for f, s in BY_FILE.items()}),
        ("file name → object with the labels", {f: {"labels": s, "width": 640} for f, s in BY_FILE.items()}),
        ("with 0 and 1 for each label", {f: {x: int(x in s) for x in LABELS} for f, s in BY_FILE.items()}),
        ("columns of a table, as pandas writes them", {"file": FILES, "labels": SETS}),
        (
            "columns of a table, as pandas writes them",
            {"file": {str(n): f for n, f in enumerate(FILES)}, "labels": {str(n): s for n, s in enumerate(SETS)}},
        ),
    ],
)
@pytest.mark.parametrize("name", ["labels.json", "one_line.json", "labels.yaml"])
def test_a_map_is_read(tmp_path: Path, what: str, content: dict[str, Any], name: str) -> None:
    text = (
        yaml.safe_dump(content) if name.endswith("yaml") else json.dumps(content, indent=1 if name[0] == "l" else None)
    )
    dataset = read(tmp_path, text, name)
    assert counts(dataset) == COUNTS and sorted(file[:3] for file in dataset.files) == [file[:3] for file in FILES]
    assert not dataset.absent() and what in DOCS


@pytest.mark.parametrize("name", ["labels.json", "labels.yml"])
def test_files_by_label(tmp_path: Path, name: str) -> None:
    """An image without any label has no place in such a map."""
    content = {label: [file for file, labels in BY_FILE.items() if label in labels] for label in LABELS}
    dataset = read(tmp_path, json.dumps(content) if name.endswith("json") else yaml.safe_dump(content), name)
    assert counts(dataset) == COUNTS and len(dataset.unlisted()) == 6


def test_objects_in_yaml(tmp_path: Path) -> None:
    text = "".join(f"- file: {file}\n  labels: [{', '.join(labels)}]\n" for file, labels in BY_FILE.items())
    assert counts(read(tmp_path, text, "labels.yaml")) == COUNTS


def test_objects_under_one_key(tmp_path: Path) -> None:
    rows = [{"file": file, "labels": labels} for file, labels in BY_FILE.items()]
    dataset = read(tmp_path, json.dumps({"version": 1, "info": {"by": "me"}, "images": rows}))
    assert counts(dataset) == COUNTS and "rows are those of 'images'" in dataset.notes


def test_yaml_text_stays_as_written(tmp_path: Path) -> None:
    text = "".join(f"{file}: {['no', '010', '1e3'][number % 3]}\n" for number, file in enumerate(FILES))
    assert counts(read(tmp_path, text, "labels.yaml")) == {"010": 8, "1e3": 8, "no": 8}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"p00.jpg": "cat", "p00.jpg": "dog"}', "labels.json: the key 'p00.jpg' appears twice"),
        ('{"p00.jpg": "cat", "p01.jpg": null}', "'p01.jpg' has null for its labels; give"),
        ('{"p00.jpg": "cat", "p01.jpg": {"label": "dog"}}', "'p01.jpg' has an object for its labels; give"),
        ('{"version": 1, "p00.jpg": "cat"}', "the key 'version' names no image"),
        ('{"train": ["p00.jpg"], "test": ["p01.jpg"]}', "files of train, test, which is a split, not labels"),
        ('{"cat": ["p00.jpg", "nothing"], "dog": ["p01.jpg"]}', "must map each file name .* got the key 'cat'"),
        ('{"file": ["p00.jpg", "p01.jpg"], "label": ["cat"]}', "not all columns have the same rows"),
        ('{"p00.jpg": ["cat", {"x": 1}], "p01.jpg": ["dog"]}', "holds nested values"),
        (r'{"p00.jpg": {"label": "cat", "\ud800": 1}}', r"a heading must be valid text, got '\\ud800'"),
        ('{"shapes": [], "imagePath": "p00.jpg"}', "is an annotation of LabelMe; set data.labels to the folder"),
        ('{"p00.jpg": "cat"', "is not JSON"),
        ("{}", "holds no rows"),
    ],
)
def test_other_maps_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p00.jpg: cat\np00.jpg: dog\n", "line 1: the key 'p00.jpg' appears twice"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "line 2: an alias stands for nested values"),
        ("a: &a [x, *a]\n", "line 1: an alias stands for nested values"),
        ("p00.jpg: [cat\n", "cannot be read as YAML, line 2"),
        ("p00.jpg: " + "[" * 5000, "nested 20 deep"),
        ("p00.jpg: !!python/object/apply:os.system [ls]\n", "needs two labels"),
        ("- cat\n- dog\n", "must map each file name .* got list"),
        ("train: images/train\nnames: [cat, dog]\n", "is the settings file of YOLO; set data.labels to the folder"),
    ],
)
def test_other_yaml_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, text, "labels.yaml")


def test_labels_in_lists_may_hold_quotes(tmp_path: Path) -> None:
    """A list of one label with blanks looks like NumPy's notation, in which quotes are not escaped as in JSON."""
    said = 'say "hi"'
    content = {file: [said if label == "fox" else label for label in labels] for file, labels in BY_FILE.items()}
    assert counts(read(tmp_path, json.dumps(content))) == {"cat": 12, "dog": 6, said: 6}


@pytest.mark.parametrize("label", ["it's", 'say "hi"', """it's "so\"""", "back\\slash", "polar bear"])
def test_numpy_and_python_lists_may_hold_quotes(tmp_path: Path, label: str) -> None:
    sets = [[label], [label, "dog"], ["fox"], []] * 6
    for notation in (lambda one: str(np.array(one)), repr, json.dumps):
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        text = io.StringIO()
        csv.writer(text).writerows([("file", "labels"), *zip(FILES, map(notation, sets), strict=True)])
        assert counts(read(folder, text.getvalue(), "labels.csv")) == {label: 12, "dog": 6, "fox": 6}, notation
