"""Every kind of bad data with its outcome; docs/reliability.md shows the same tables."""

from __future__ import annotations

import json
import os
import struct
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.conftest import ROOT
from tests.searches import small_config
from thaw.search.prepare.preflight import Prepared, prepare
from thaw.spaces import ConfigError
from thaw.trainables.data.dataset import read_dataset
from thaw.trainables.data.decoding import Rejected, Square, decode_image

DOCS = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
GOOD = 24


def photo(width: int = 160, height: int = 120) -> Image.Image:
    small = np.random.default_rng(width).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


def saved(format: str, image: Image.Image | None = None, **options: object) -> Callable[[Path], object]:
    return lambda path: (image or photo()).save(path, format, **options)


def cut(format: str, tenths: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        photo().save(path, format)
        os.truncate(path, path.stat().st_size * tenths // 10)

    return make


def numbers(values: np.ndarray) -> Callable[[Path], object]:
    return saved("TIFF", Image.fromarray(values))


def png(width: int, height: int, *chunks: tuple[bytes, bytes]) -> Callable[[Path], object]:
    """A PNG with this size in its header, whatever its content."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(bytes(9 * 8))), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return lambda path: path.write_bytes(content)


ANIMATION = {"save_all": True, "append_images": [Image.new("RGB", (160, 120), "red")]}
NOT_FINITE = np.full((8, 8), np.nan, np.float32)
UNKNOWN, DAMAGED, OUTSIDE = "not an image of a known format", "damaged", "outside the image folder"


@dataclass(frozen=True)
class ImageFault:
    """A row of the table: the fault, the file's name in the label file, how the file is made, and the outcome."""

    what: str
    name: str
    make: Callable[[Path], object]
    outcome: str
    """``used``, or the start of the reason in ``rejected.csv``."""


def nothing(path: Path) -> None: ...


IMAGES = [
    *(ImageFault(f"JPEG, {n}0 % of its bytes", f"cut{n}.jpg", cut("JPEG", n), DAMAGED) for n in range(1, 10)),
    *(ImageFault(f"PNG, {n}0 % of its bytes", f"cut{n}.png", cut("PNG", n), DAMAGED) for n in range(1, 10)),
    ImageFault("empty file", "empty.jpg", Path.touch, "empty file"),
    ImageFault("zero bytes", "zeros.jpg", lambda path: path.write_bytes(bytes(5000)), UNKNOWN),
    ImageFault("text", "text.jpg", lambda path: path.write_text("not an image\n"), UNKNOWN),
    ImageFault("PostScript, which would start a program", "eps.jpg", saved("EPS"), UNKNOWN),
    ImageFault("wrong extension", "png.jpg", saved("PNG"), "used"),
    ImageFault("no extension", "bare", saved("JPEG"), "used"),
    ImageFault(
        "extra bytes after the end", "tail.jpg", lambda p: (saved("JPEG")(p), p.open("ab").write(b"?" * 999)), "used"
    ),
    ImageFault("900 million pixels in 100 bytes", "bomb.png", png(30_000, 30_000), "cannot be decoded: Image size"),
    ImageFault("100 million pixels", "big.png", png(10_000, 10_000), "10000 x 10000 pixels are more than the limit"),
    ImageFault(
        "100 MB of compressed comments",
        "remarks.png",
        png(8, 8, (b"zTXt", b"note\0\0" + zlib.compress(bytes(10**8)))),
        "cannot be decoded: Decompressed data too large",
    ),
    ImageFault("one pixel", "pixel.png", saved("PNG", Image.new("RGB", (1, 1), "red")), "used"),
    ImageFault("30,000 × 3 pixels", "wide.png", saved("PNG", Image.new("RGB", (30_000, 3), "red")), "used"),
    ImageFault("3 × 30,000 pixels", "tall.jpg", saved("JPEG", Image.new("RGB", (3, 30_000), "red")), "used"),
    ImageFault("animated GIF", "moving.gif", saved("GIF", photo(), **ANIMATION), "used"),
    ImageFault("animated WebP", "moving.webp", saved("WEBP", photo(), **ANIMATION), "used"),
    ImageFault("CMYK", "cmyk.jpg", saved("JPEG", photo().convert("CMYK")), "used"),
    ImageFault("16 bits", "deep.tif", numbers(np.full((8, 8), 40_000, np.uint16)), "used"),
    ImageFault("float TIFF", "float.tif", numbers(np.full((8, 8), 0.5, np.float32)), "used"),
    ImageFault("float TIFF with NaN", "nan.tif", numbers(NOT_FINITE), "holds values that are not finite numbers"),
    ImageFault("damaged EXIF", "exif.png", saved("PNG", exif=b"Exif\0\0garbage"), "used"),
    ImageFault("spaces in the name", "two words .jpg", saved("JPEG"), "used"),
    ImageFault("Unicode in the name", "häuser/写真 📷.jpg", saved("JPEG"), "used"),
    ImageFault("brackets and escapes in the name", "[/red]\x1b[31m.jpg", saved("JPEG"), "used"),
    ImageFault(
        "Unicode composed differently on disk", "e\u0301.jpg", lambda p: saved("JPEG")(p.parent / "é.jpg"), "used"
    ),
    ImageFault("absent", "nowhere.jpg", nothing, "absent"),
    ImageFault("`../` in the name", "../outside.jpg", saved("JPEG"), OUTSIDE),
    ImageFault("`a/../../` in the name", "a/../../outside.jpg", nothing, OUTSIDE),
    ImageFault("absolute name", "/etc/hostname", nothing, OUTSIDE),
    ImageFault("the image folder itself", "a/..", nothing, "no file name"),
    ImageFault("a folder", "folder.jpg", Path.mkdir, "not a regular file"),
    ImageFault("a pipe", "pipe.jpg", os.mkfifo, "not a regular file"),
    ImageFault("a device", "device.jpg", lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    ImageFault("link to a file outside the folder", "link.jpg", lambda p: p.symlink_to("../target/far.jpg"), "used"),
    ImageFault("link that leads to itself", "circle.jpg", lambda p: p.symlink_to(p), "cannot be read: Too many levels"),
    ImageFault("broken link", "dangling.jpg", lambda p: p.symlink_to("nothing.jpg"), "absent"),
]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    """A data set with all faults and some good images, after all checks before a search."""
    folder = tmp_path_factory.mktemp("bad")
    images = folder / "images"
    images.mkdir()
    (folder / "target").mkdir()
    saved("JPEG")(folder / "target" / "far.jpg")
    rows = []
    for number in range(GOOD):
        saved("JPEG")(images / f"good{number}.jpg")
        rows.append(f"good{number}.jpg")
    for fault in IMAGES:
        path = images / fault.name
        if fault.make is not nothing:
            path.parent.mkdir(exist_ok=True)
            fault.make(path)
        rows.append(fault.name)
    text = "filename;labels\n" + "".join(f'"{name}";{("left", "right")[i % 2]}\n' for i, name in enumerate(rows))
    (folder / "labels.csv").write_text(text, encoding="utf-8")
    started = time.monotonic()
    result = prepare(small_config(folder, folder, folder / "cache", data={"max_rejected": 1.0}))
    assert time.monotonic() - started < 120
    return result


def outcomes(prepared: Prepared) -> dict[str, str]:
    rejected = dict(prepared.rejected)
    usable = prepared.context.images.open().usable
    used = {file: "used" for file, good in zip(prepared.dataset.files, usable, strict=True) if good}
    assert not used.keys() & rejected.keys()
    return used | rejected


@pytest.mark.parametrize("fault", IMAGES, ids=lambda fault: fault.what)
def test_every_bad_image_has_its_outcome(prepared: Prepared, fault: ImageFault) -> None:
    name = "." if fault.name == "a/.." else fault.name
    name = "é.jpg" if fault.name == "e\u0301.jpg" else name  # its name on disk
    found = outcomes(prepared).get(name) or outcomes(prepared)[fault.name]
    assert found.startswith(fault.outcome)


def test_no_good_image_is_lost_and_every_row_is_accounted_for(prepared: Prepared) -> None:
    found = outcomes(prepared)
    assert len(found) == GOOD + len(IMAGES)
    assert all(found[f"good{number}.jpg"] == "used" for number in range(GOOD))
    split = prepared.context.split
    used = sum(outcome == "used" for outcome in found.values())
    assert len(split.train) + len(split.validation) + len(split.test) == used


# --- label files -----------------------------------------------------------------------------------------------------

GOOD_ROWS = "a.jpg,1 2\nb.jpg,2\n"
REMARKS = "filename,labels\n" + "".join(f"{i}.jpg,remark {i}\n" for i in range(32_000))


@dataclass(frozen=True)
class LabelFault:
    what: str
    content: str | bytes
    outcome: str
    """``used``, ``refused: …`` with a part of the error, or the rejected rows as ``file: reason``."""
    name: str = "labels.csv"


COCO_START = '{"categories": [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}], "images": '

LABELS = [
    LabelFault("byte order mark", b"\xef\xbb\xbffilename,labels\n" + GOOD_ROWS.encode(), "used"),
    LabelFault("UTF-16, as Excel writes it", ("filename,labels\n" + GOOD_ROWS).encode("utf-16"), "used"),
    LabelFault("Latin-1", "a.jpg,1|Hündin\nb.jpg,2|1\n".encode("latin-1"), "used"),
    LabelFault("CRLF", "filename,labels\r\n" + GOOD_ROWS.replace("\n", "\r\n"), "used"),
    LabelFault("CR alone", GOOD_ROWS.replace("\n", "\r"), "used"),
    LabelFault("blank lines", "\n\n" + GOOD_ROWS + "\n , \n", "used"),
    LabelFault("rows without labels", GOOD_ROWS + "c.jpg,\n", "used"),
    LabelFault("duplicate rows, equal labels", GOOD_ROWS + "a.jpg,2 1\n", "used"),
    LabelFault(
        "duplicate rows, contradicting labels",
        "c.jpg,1\n" + GOOD_ROWS + "c.jpg,2\n",
        "c.jpg: rows with contradicting labels",
    ),
    LabelFault("row without a file name", GOOD_ROWS + ",1\n", ": no file name"),
    LabelFault("empty label file", "", "refused: holds no rows"),
    LabelFault("photo instead of a label file", b"\xff\xd8\xff\xe0\0\x10JFIF\0", "refused: is not a text file"),
    LabelFault("quote that is never closed", 'a.jpg,"1\nb.jpg,2\n', "refused: is not a table of text"),
    LabelFault("quotes closed some rows later", 'a.jpg,"1\nb.jpg,2"\nc.jpg,1\n', "refused: span several lines"),
    LabelFault("rows of different lengths", GOOD_ROWS + "c.jpg,1,2\n", "refused: row 3 has 3 columns"),
    LabelFault("remarks instead of labels", REMARKS, "refused: name the column of labels"),
    LabelFault("all names outside the folder", "../a.jpg,1\n/b.jpg,2\n", "refused: no row can be used"),
    LabelFault("truncated JSON", COCO_START, "refused: is not JSON", "x.json"),
    LabelFault("JSON nested 100,000 deep", "[" * 100_000, "refused: is not JSON", "x.json"),
    LabelFault("COCO without images", '{"categories": []}', "refused: the file has no 'images'", "x.json"),
    LabelFault("COCO image without a file name", COCO_START + '[{"id": 1}]}', "refused: has no 'file_name'", "x.json"),
    LabelFault(
        "COCO image with a list for an id",
        COCO_START + '[{"id": [1], "file_name": "a.jpg"}]}',
        "refused: images[0].id must be an integer or a string, got list",
        "x.json",
    ),
    LabelFault(
        "COCO images with one id",
        COCO_START + '[{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}]}',
        "refused: two images have the id 1",
        "x.json",
    ),
    LabelFault(
        "COCO annotation of an unknown image",
        COCO_START + '[{"id": 1, "file_name": "a.jpg"}], "annotations": [{"image_id": 2, "category_id": 1}]}',
        "refused: an annotation refers to 2",
        "x.json",
    ),
    LabelFault(
        "half of a Unicode surrogate pair as a label",
        '{"categories": [{"id": 1, "name": "\\ud800"}, {"id": 2, "name": "y"}], "images": '
        '[{"id": 1, "file_name": "a.jpg"}], "annotations": []}',
        "refused: a label must be valid text",
        "x.json",
    ),
    LabelFault("VOC without a file name", "<annotation/>", "refused: has no 'filename'", "voc/a.xml"),
    LabelFault(
        "VOC object without a name",
        "<a><filename>a</filename><object/></a>",
        "refused: has no 'object/name'",
        "voc/a.xml",
    ),
    LabelFault("truncated VOC", "<annotation><filename>", "refused: is not XML", "voc/a.xml"),
    LabelFault(
        "VOC nested 100,000 deep", "<a>" * 100_000 + "</a>" * 100_000, "refused: has no 'filename'", "voc/a.xml"
    ),
    LabelFault(
        "VOC with entities (a billion laughs)",
        '<!DOCTYPE a [<!ENTITY l "l"><!ENTITY m "&l;&l;&l;&l;">]><annotation><filename>&m;</filename></annotation>',
        "refused: must not declare a document type",
        "voc/a.xml",
    ),
    LabelFault(
        "VOC that names a system file",
        '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/hostname">]><annotation><filename>&f;</filename></annotation>',
        "refused: must not declare a document type",
        "voc/a.xml",
    ),
]


@pytest.mark.parametrize("fault", LABELS, ids=lambda fault: fault.what)
def test_every_bad_label_file_has_its_outcome(tmp_path: Path, fault: LabelFault) -> None:
    path = tmp_path / fault.name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(fault.content if isinstance(fault.content, bytes) else fault.content.encode())
    source = path.parent if path.suffix == ".xml" else path
    started = time.monotonic()
    if fault.outcome.startswith("refused: "):
        with pytest.raises(ConfigError) as caught:
            read_dataset(tmp_path, source)
        assert fault.outcome.removeprefix("refused: ") in str(caught.value)
        assert caught.value.key == "labels" and str(source) in str(caught.value)
    else:
        dataset = read_dataset(tmp_path, source)
        assert {"a.jpg", "b.jpg"} <= set(dataset.files) and len(dataset.classes) >= 2
        rejected = [f"{file}: {reason}" for file, reason in dataset.rejected]
        expected = [] if fault.outcome == "used" else [fault.outcome]
        assert len({text for text in rejected}) == len(expected)
        assert all(text.startswith(start) for text, start in zip(sorted(set(rejected)), expected, strict=True))
    assert time.monotonic() - started < 20


def test_a_pipe_is_no_label_file(tmp_path: Path) -> None:
    (tmp_path / "voc").mkdir()
    for pipe in (tmp_path / "labels.csv", tmp_path / "labels.json", tmp_path / "voc" / "a.xml"):
        os.mkfifo(pipe)
        with pytest.raises(ConfigError, match="must be a regular file"):
            read_dataset(tmp_path, pipe.parent if pipe.suffix == ".xml" else pipe)


# --- folders ---------------------------------------------------------------------------------------------------------


def test_links_between_folders_are_followed_and_end(tmp_path: Path) -> None:
    images, store = tmp_path / "images", tmp_path / "store"
    for folder in (images / "dog" / "old", store / "cats"):
        folder.mkdir(parents=True)
        saved("JPEG")(folder / "1.jpg")
    (images / "cat").symlink_to(store / "cats")
    (images / "dog" / "again").symlink_to(images / "dog")
    (images / "dog" / "up").symlink_to("..")
    (images / "dog" / "gone").symlink_to("nowhere")
    (images / "dog" / "self.jpg").symlink_to("self.jpg")
    (images / "all").symlink_to(images)
    # Two links at each of 40 levels: 2^40 paths.
    for level in range(40):
        (store / f"{level}").mkdir()
        for name in "lr":
            (store / f"{level}" / name).symlink_to(store / f"{level + 1}")
    (store / "40").mkdir()
    (images / "dog" / "maze").symlink_to(store / "0")
    dataset = read_dataset(images)
    assert dataset.files == ("cat/1.jpg", "dog/old/1.jpg")
    assert dataset.classes == ("cat", "dog")
    reasons = dict(dataset.rejected)
    assert reasons["dog/gone"] == reasons["dog/self.jpg"] == "broken link"
    for name in ("all", "dog/again", "dog/up"):
        assert reasons[name] == "link to a folder that was already read"
    assert decode_image(images / dataset.files[0], Square(8)).shape == (8, 8, 3)


def test_names_of_folders_and_files_may_be_any_bytes(tmp_path: Path) -> None:
    for name in (b"H\xfcndin", b"Kater"):
        os.mkdir(os.path.join(os.fsencode(tmp_path), name))
        with open(os.path.join(os.fsencode(tmp_path), name, b"\xff.jpg"), "wb") as file:
            photo().save(file, "JPEG")
    dataset = read_dataset(tmp_path)
    assert dataset.classes == ("Hündin", "Kater")
    assert all(decode_image(tmp_path / file, Square(8)).shape == (8, 8, 3) for file in dataset.files)


# --- permissions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def ordinary_user() -> Iterator[Path]:
    """A folder of an ordinary user, who also runs the test, because permissions do not apply to root."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield Path(name)
            for folder, folders, _ in os.walk(name):
                for inner in folders:
                    os.chmod(Path(folder, inner), 0o700)
        finally:
            if root:
                os.seteuid(0)


def test_files_without_permission_are_reported(ordinary_user: Path) -> None:
    images = ordinary_user / "images"
    for name in ("dog", "cat"):
        (images / name).mkdir(parents=True)
        saved("JPEG")(images / name / "1.jpg")
    (images / "dog" / "1.jpg").chmod(0)
    with pytest.raises(Rejected, match="cannot be read: Permission denied"):
        decode_image(images / "dog" / "1.jpg", Square(8))
    labels = ordinary_user / "labels.csv"
    labels.write_text("dog/1.jpg,1\ncat/1.jpg,2\n")
    (images / "cat").chmod(0)
    assert read_dataset(images, labels).absent() == [], "an unreadable folder counts as complete"
    with pytest.raises(Rejected, match="cannot be read: Permission denied"):
        decode_image(images / "cat" / "1.jpg", Square(8))
    with pytest.raises(ConfigError, match=r"images/cat is not a readable folder \(Permission denied\)"):
        read_dataset(images)
    labels.chmod(0)
    with pytest.raises(ConfigError, match=r"labels.csv: cannot be read \(Permission denied\)"):
        read_dataset(images, labels)
    (ordinary_user / "secret").mkdir(mode=0)
    with pytest.raises(ConfigError, match="Permission denied"):
        read_dataset(images, ordinary_user / "secret" / "labels.csv")


# --- random content --------------------------------------------------------------------------------------------------

WHOLE: dict[str, bytes] = {}


def whole(format: str) -> bytes:
    if format not in WHOLE:
        with tempfile.TemporaryDirectory() as name:
            photo(48, 32).save(Path(name, "x"), format)
            WHOLE[format] = Path(name, "x").read_bytes()
    return WHOLE[format]


@settings(max_examples=80)
@given(st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "TIFF", "BMP"]), st.data())
def test_any_damage_gives_pixels_or_a_reason(tmp_path: Path, format: str, data: st.DataObject) -> None:
    content = bytearray(whole(format))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "damaged"
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
    try:
        assert decode_image(path, Square(8)).shape == (8, 8, 3)
    except Rejected as rejected:
        assert rejected.reason


LABEL_TEXT = st.text(alphabet=st.sampled_from('ab.jpg,;|\t\n\r" 01\0é{}[]:<>/'), max_size=60)
WORDS = st.sampled_from(["image", "label", "images", "annotations", "categories", "shapes", "a.jpg", "b.jpg", "a", ""])
LABEL_JSON = st.recursive(
    st.sampled_from([None, True, 0, 1, -1, 0.5]) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=8,
).map(lambda value: json.dumps(value).encode())


@settings(max_examples=300)
@given(
    st.one_of(LABEL_TEXT.map(str.encode), st.binary(max_size=60), LABEL_JSON),
    st.sampled_from(["x.csv", "x.json", "x.jsonl", "x.yaml", "voc/x.xml"]),
)
def test_any_label_file_is_read_or_refused(tmp_path: Path, content: bytes, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    try:
        dataset = read_dataset(tmp_path, path.parent if path.suffix == ".xml" else path)
    except ConfigError as error:
        assert str(tmp_path) in str(error)
    else:
        assert dataset.labels.shape == (len(dataset.files), len(dataset.classes))


# --- the documentation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*IMAGES, *LABELS], ids=lambda fault: fault.what)
def test_the_table_in_the_documentation_has_this_row(fault: ImageFault | LabelFault) -> None:
    if "% of its bytes" in fault.what:
        assert "| JPEG or PNG, 10 % … 90 % of its bytes | rejected: damaged |" in DOCS
        return
    row = next(line for line in DOCS.splitlines() if line.startswith(f"| {fault.what} |"))
    expected = fault.outcome.partition(": ")[2] if isinstance(fault, LabelFault) else fault.outcome
    assert (expected or "used") in row
