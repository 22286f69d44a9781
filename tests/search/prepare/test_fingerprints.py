"""Data are read as Thaw 0.1.0 read them, with the same images, labels and split, so its runs can continue."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.searches import small_config
from thaw.search.prepare.preflight import prepare

LABELS = ("ant", "bee", "wasp")
NUMBERS = range(24)
FILES = [f"{number:02d}.png" for number in NUMBERS]
NAMED = [LABELS[number % 3] for number in NUMBERS]

WRITTEN_BY_0_1_0 = {
    "csv": ("999d13b962ef662c27db9e56d822e173", "a83c564000c27f82deaf0034298a1b2f"),
    "bars": ("be01ba01d7b8606434d0af53605a7077", "a0c3d52b7855d767ed93ed2fe335375f"),
    "one-hot": ("d9df13d979b41af5f3e4c2da525dc0cf", "2ad7b92a37b5ed83df3ca12d8577545f"),
    "paper": ("340392114d2f88abb3e1af0d8844ddbb", "3767c9e8a9e36e17bc886f9d93843a3a"),
    "classes": ("a0139dec19954330089815c496d4ac87", "c3d160858a851ce9f07639a24731380b"),
    "coco": ("c3404138166dc5e3fc930a0ffd17b2d2", "5c18aec689d2b277154cc01117d406b3"),
    "voc": ("fec4ddfca202828016d0f555279b1753", "c3d160858a851ce9f07639a24731380b"),
    "folders": ("73055610ae24d84369c57a346d799c35", "c4a368aeb437c591097aed944c62b1f4"),
}
"""Shape → fingerprint and digest of the split, as computed by version 0.1.0."""


def table(header: str, cells: Iterable[object], sign: str = ",") -> str:
    rows = [f"{file}{sign}{cell}" for file, cell in zip(FILES, cells, strict=True)]
    return "\n".join([*([header] if header else []), *rows]) + "\n"


def coco() -> str:
    content = {
        "images": [{"id": number, "file_name": file} for number, file in enumerate(FILES)],
        "categories": [{"id": 5, "name": "wasp"}, {"id": 1, "name": "ant"}],
        "annotations": [{"image_id": number, "category_id": 5 if number % 2 else 1} for number in range(20)],
    }
    return json.dumps(content)


TEXTS = {
    "csv": table("filename,labels", (f"{n % 3} {n % 2 + 3}" for n in NUMBERS)),
    "bars": table("file;tags", (f"{NAMED[n]}|{'old' if n % 2 else 'new'}" for n in NUMBERS), ";"),
    "one-hot": table("image,b,a", (f"{n % 2},{int(n % 3 == 0)}" for n in NUMBERS)),
    "paper": table("", (f"{n % 3}{',7' if n % 2 else ''}" for n in NUMBERS), "\t"),
    "classes": table("filename,label", (n % 3 for n in NUMBERS)),
    "coco": coco(),
}
"""Shape → text of the label file."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The images, side by side and in a folder for each label."""
    folder = tmp_path_factory.mktemp("fingerprints")
    for number, file in enumerate(FILES):
        image = Image.fromarray(np.random.default_rng(number).integers(0, 255, (8, 10, 3), np.uint8))
        for path in (folder / "images" / file, folder / "folders" / NAMED[number] / file):
            path.parent.mkdir(parents=True, exist_ok=True)
            image.save(path)
    return folder


@pytest.mark.parametrize("shape", WRITTEN_BY_0_1_0)
def test_fingerprint_and_split_are_those_of_0_1_0(shape: str, place: Path, tmp_path: Path, cache: Path) -> None:
    data: dict[str, object] = {"images": str(place / "images"), "labels": str(tmp_path / "labels")}
    if shape == "folders":
        data = {"images": str(place / "folders"), "labels": None}
    elif shape == "voc":
        (tmp_path / "labels").mkdir()
        for file, label in zip(FILES, NAMED, strict=True):
            text = f"<annotation><filename>{file}</filename><object><name>{label}</name></object></annotation>"
            (tmp_path / "labels" / f"{file[:2]}.xml").write_text(text)
    else:
        (tmp_path / "labels").write_text(TEXTS[shape])
    if shape == "classes":
        (tmp_path / "classes.json").write_text(json.dumps(dict(enumerate(("wasp", "ant", "bee")))))
        data["classes"] = str(tmp_path / "classes.json")
    found = prepare(small_config(tmp_path, place, cache, data={"image_size": 32, **data}))
    assert (found.fingerprint, found.context.split.digest) == WRITTEN_BY_0_1_0[shape]
