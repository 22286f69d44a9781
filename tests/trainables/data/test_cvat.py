"""Exports of CVAT in the format CVAT for images."""

from __future__ import annotations

from pathlib import Path

import pytest

from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import Dataset, read_dataset
from thaw.trainables.data.splits import given_parts

META = "<version>1.1</version><meta><task><labels><label><name>cat</name></label></labels></task></meta>"
TAG = '<tag label="{}" source="manual"></tag>'
BOX = '<box label="{}" xtl="1.0" ytl="2.0" xbr="9" ybr="9"><attribute name="sex">f</attribute></box>'
SETS = [["cat"], ["cat", "dog"], ["fox"], []]


def read(folder: Path, body: str) -> Dataset:
    (folder / "images").mkdir()
    for number in range(4):
        (folder / "images" / f"p{number}.jpg").touch()
    text = f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{META}{body}</annotations>\n'
    (folder / "annotations.xml").write_text(text)
    return read_dataset(folder / "images", folder / "annotations.xml")


def images(shape: str, subsets: tuple[str, ...] = ()) -> str:
    return "".join(
        f'<image id="{n}" name="p{n}.jpg" {f"""subset="{subsets[n]}" """ if subsets else ""}width="9" height="9">'
        f"{''.join(map(shape.format, labels))}</image>"
        for n, labels in enumerate(SETS)
    )


@pytest.mark.parametrize("shape", [TAG, BOX])
def test_tags_and_shapes_are_labels(tmp_path: Path, shape: str) -> None:
    dataset = read(tmp_path, images(shape))
    assert dict(zip(dataset.classes, dataset.labels.sum(axis=0), strict=True)) == {"cat": 2, "dog": 1, "fox": 1}
    assert len(dataset.files) == 4 and not dataset.absent()


def test_subsets_are_a_split(tmp_path: Path) -> None:
    dataset = read(tmp_path, images(TAG, ("Train", "Train", "Validation", "Test")))
    assert "data.split.column: subset" in " ".join(dataset.notes)
    parts = given_parts(dataset, "subset")
    assert parts is not None and parts.tolist() == [0, 0, 1, 2]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('<track id="0" label="cat"></track>', "CVAT for images, got the tracks of a video"),
        ("", "got <annotations> without images"),
        ('<image id="0"><tag label="cat"/></image>', r"image 1 \(no name\) lacks the attribute 'name'"),
        ('<image id="0" name="p0.jpg"><tag/></image>', r"image 1 \(p0.jpg\) lacks the attribute 'label'"),
    ],
)
def test_other_xml_is_refused(tmp_path: Path, body: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(tmp_path, body)


def test_the_folder_of_an_export_is_refused_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"annotations.xml: is an export of CVAT; set data.labels to this file"):
        read_dataset(tmp_path / "images", read(tmp_path, images(TAG)).root.parent)
