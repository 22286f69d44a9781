"""Decoding of every kind of file, and the store of decoded images."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT
from thaw.spaces.errors import ConfigError
from thaw.trainables.data import image_store, supervision
from thaw.trainables.data.decoding import Rejected, Square, decode_image
from thaw.trainables.data.grey import Extent
from thaw.trainables.data.image_store import ImageStore, open_store

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def photo(seed: int, width: int = 40, height: int = 30) -> Image.Image:
    """A smooth image, different for each seed."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for i in range(5):
        photo(i).save(folder / f"{i}.png")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def halves(left: object, right: object, mode: str = "RGB", size: int = 8) -> Image.Image:
    image = Image.new(mode, (size, size), left)  # type: ignore[arg-type]
    image.paste(right, (size // 2, 0, size, size))  # type: ignore[arg-type]
    return image


def corners(pixels: np.ndarray) -> list[list[int]]:
    """The middle left and the middle right pixel."""
    return pixels[len(pixels) // 2, [0, -1]].tolist()


# --- decoding --------------------------------------------------------------------------------------------------------


def save_palette(path: Path) -> None:
    image = Image.new("P", (8, 8), 0)
    image.putpalette([0, 0, 0, 0, 0, 255])
    image.paste(1, (4, 0, 8, 8))
    image.save(path, transparency=0)


def save_animation(path: Path) -> None:
    halves(WHITE, BLUE).save(path, save_all=True, append_images=[Image.new("RGB", (8, 8), RED)], lossless=True)


def save_numbers(dtype: type, left: float, right: float) -> Callable[[Path], None]:
    values: np.ndarray = np.full((8, 8), left, dtype)
    values[:, 4:] = right
    return lambda path: Image.fromarray(values).save(path)


def gray(value: int) -> tuple[int, int, int]:
    return (value, value, value)


KINDS: dict[str, tuple[str, Callable[[Path], None], tuple[int, ...], tuple[int, ...]]] = {
    "RGB": ("png", lambda path: halves(RED, BLUE).save(path), RED, BLUE),
    "one bit": ("png", lambda path: halves(0, 1, "1").save(path), gray(0), WHITE),
    "gray": ("png", lambda path: halves(10, 200, "L").save(path), gray(10), gray(200)),
    "gray, half transparent": ("png", lambda path: halves((0, 255), (0, 0), "LA").save(path), gray(0), WHITE),
    "RGBA": ("png", lambda path: halves((255, 0, 0, 255), (0, 0, 0, 51), "RGBA").save(path), RED, gray(204)),
    "palette with a transparent colour": ("png", save_palette, WHITE, BLUE),
    "CMYK": ("tif", lambda path: halves((0, 255, 255, 0), (0, 0, 0, 0), "CMYK").save(path), RED, WHITE),
    "16 bit": ("png", save_numbers(np.uint16, 257 * 20, 65535), gray(20), WHITE),
    "32 bit within 16": ("tif", save_numbers(np.int32, 257 * 20, 65535), gray(20), WHITE),
    "32 bit, signed": ("tif", save_numbers(np.int32, -100000, 100000), gray(0), WHITE),
    "float up to 1": ("tif", save_numbers(np.float32, 0.2, 1.0), gray(51), WHITE),
    "float up to 255": ("tif", save_numbers(np.float32, 51.0, 102.0), gray(51), gray(102)),
    "float, negative": ("tif", save_numbers(np.float32, -3.0, 5.0), gray(0), WHITE),
    "float, constant": ("tif", save_numbers(np.float32, -3.0, -3.0), gray(0), gray(0)),
    "animation": ("webp", save_animation, WHITE, BLUE),
}


@pytest.mark.parametrize(("suffix", "save", "left", "right"), KINDS.values(), ids=KINDS.keys())
def test_every_kind_becomes_rgb(
    tmp_path: Path, suffix: str, save: Callable[[Path], None], left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    path = tmp_path / f"image.{suffix}"
    save(path)
    pixels = decode_image(path, Square(8))
    assert pixels.dtype == np.uint8 and pixels.shape == (8, 8, 3)
    assert corners(pixels) == [list(left), list(right)]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turned_upright_by_exif(tmp_path: Path, orientation: int) -> None:
    upright = photo(0, 24, 16)
    # How each of the eight EXIF orientations is stored, as NumPy operations.
    stored = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation](np.asarray(upright))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "turned.png", exif=exif)
    upright.save(tmp_path / "upright.png")
    expected = decode_image(tmp_path / "upright.png", Square(8))
    assert np.array_equal(decode_image(tmp_path / "turned.png", Square(8)), expected)


def test_unreadable_exif_is_ignored(tmp_path: Path) -> None:
    halves(RED, BLUE).save(tmp_path / "image.png", exif=b"Exif\0\0garbage")
    assert corners(decode_image(tmp_path / "image.png", Square(8))) == [list(RED), list(BLUE)]


def test_crop_and_squash(tmp_path: Path) -> None:
    wide = Image.new("RGB", (32, 8), GREEN)
    wide.paste(RED, (0, 0, 12, 8))
    wide.paste(BLUE, (20, 0, 32, 8))
    wide.save(tmp_path / "wide.png")
    cropped = decode_image(tmp_path / "wide.png", Square(8, "crop"))
    assert (cropped == GREEN).all(), "the middle 8 columns, at their own scale"
    squashed = decode_image(tmp_path / "wide.png", Square(8, "squash"))
    assert corners(squashed) == [list(RED), list(BLUE)]


def test_large_jpeg_is_close_to_full_decoding(tmp_path: Path) -> None:
    photo(3, 800, 600).save(tmp_path / "large.jpg", quality=95)
    with Image.open(tmp_path / "large.jpg") as image:
        full = np.asarray(image.resize((32, 32), Image.Resampling.BILINEAR), int)
    # 64 of 600 rows are enough for twice the size: the decoder works at an eighth of the scale.
    assert np.abs(decode_image(tmp_path / "large.jpg", Square(32, "squash")) - full).max() <= 4


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_files_that_are_not_images_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "image"
    whole = tmp_path / "whole.jpg"
    photo(1, 200, 200).save(whole)

    def reason(content: bytes) -> str:
        path.write_bytes(content)
        with pytest.raises(Rejected) as caught:
            decode_image(path, Square(8))
        return caught.value.reason

    assert reason(b"GIF89a") == "not an image of a known format"
    assert reason(b"filename,labels\n") == "not an image of a known format"
    assert reason(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n") == "not an image of a known format"
    assert reason(whole.read_bytes()[:-200]).startswith("damaged: image file is truncated")
    save_numbers(np.float32, np.nan, 1.0)(tmp_path / "nan.tif")
    assert reason((tmp_path / "nan.tif").read_bytes()) == "holds values that are not finite numbers"
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 39_999)
    assert reason(whole.read_bytes()) == "200 x 200 pixels are more than the limit of 39999"


def saved(path: Path, form: str, **options: object) -> Path:
    if form == "HEIF":
        import pillow_heif

        pillow_heif.register_heif_opener()
    halves(RED, BLUE, size=64).save(path, form, quality=95, **options)
    return path


@pytest.mark.parametrize("form", ["HEIF", "AVIF"])
def test_photos_of_phones_with_any_file_name(form: str, tmp_path: Path) -> None:
    pixels = decode_image(saved(tmp_path / "photo.jpg", form), Square(8)).astype(int)
    assert np.abs(pixels[4, [0, -1]] - [RED, BLUE]).max() < 16


def test_a_rotated_avif(tmp_path: Path) -> None:
    turned = Image.Exif()
    turned[0x0112] = 6
    pixels = decode_image(saved(tmp_path / "turned.avif", "AVIF", exif=turned), Square(8)).astype(int)
    assert np.abs(pixels[[0, -1], 4] - [RED, BLUE]).max() < 40, "the left side is the upper one"


@pytest.mark.parametrize(
    ("form", "advice"), [("HEIF", "pip install 'thaw-tune[heif]'"), ("AVIF", "needs Pillow 11.3 or newer")]
)
def test_a_missing_decoder_is_named(form: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "photo.jpg", form)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("thaw.trainables.data.decoding.FORMATS", ("JPEG", "PNG"))
    with pytest.raises(Rejected, match=re.escape(advice)):
        decode_image(path, Square(8))


# --- the store -------------------------------------------------------------------------------------------------------


def test_store_holds_the_decoded_files(images: Path, tmp_path: Path) -> None:
    calls: list[tuple[int, int]] = []
    store = open_store(images, names(images), Square(16), directory=tmp_path, progress=lambda *at: calls.append(at))
    assert store.pixels.shape == (5, 16, 16, 3) and store.pixels.dtype == np.uint8
    for row, name in zip(store.pixels, names(images), strict=True):
        assert np.array_equal(row, decode_image(images / name, Square(16)))
    assert store.usable.all() and store.rejected == ()
    assert calls[-1] == (5, 5)
    with pytest.raises(ValueError, match="read-only"):
        store.pixels[0] = 0


def test_second_opening_decodes_nothing(images: Path, tmp_path: Path) -> None:
    first = open_store(images, names(images), Square(16), directory=tmp_path)
    calls: list[tuple[int, int]] = []
    second = open_store(images, names(images), Square(16), directory=tmp_path, progress=lambda *at: calls.append(at))
    assert calls == []
    assert np.array_equal(first.pixels, second.pixels) and first.digest == second.digest
    assert len(list(tmp_path.glob("images-*/index.json"))) == 1


def test_rejections(images: Path, tmp_path: Path) -> None:
    (images / "empty.png").touch()
    (images / "folder.png").mkdir()
    os.mkfifo(images / "pipe.png")
    (images / "text.png").write_text("no picture")
    (images / "cut.png").write_bytes((images / "0.png").read_bytes()[:-200])
    (images / "link.png").symlink_to(images / "1.png")
    (images / "dangling.png").symlink_to(images / "nowhere.png")
    files = [*names(images), "gone.png", "0.png/inside.png", "nul\0.png"]
    store = open_store(images, files, Square(16), directory=tmp_path)
    reasons = dict(store.rejected)
    assert reasons.pop("cut.png").startswith("damaged: image file is truncated")
    assert reasons == {
        "empty.png": "empty file",
        "folder.png": "not a regular file",
        "pipe.png": "not a regular file",
        "text.png": "not an image of a known format",
        "dangling.png": "absent",
        "gone.png": "absent",
        "0.png/inside.png": "absent",
        "nul\0.png": "cannot be read: embedded null byte",
    }
    usable = {file for file, yes in zip(files, store.usable, strict=True) if yes}
    assert usable == {"0.png", "1.png", "2.png", "3.png", "4.png", "link.png"}
    assert not store.pixels[~store.usable].any() and not store.digests[~store.usable].any()
    assert np.array_equal(store.pixels[files.index("link.png")], store.pixels[files.index("1.png")])


def test_changed_image_is_decoded_again(images: Path, tmp_path: Path) -> None:
    before = open_store(images, names(images), Square(16), directory=tmp_path)
    photo(9).save(images / "2.png")
    (images / "4.png").unlink()
    after = open_store(images, ["0.png", "1.png", "2.png", "3.png", "4.png"], Square(16), directory=tmp_path)
    same = (before.digests == after.digests).all(axis=1)
    assert same.tolist() == [True, True, False, True, False]
    assert np.array_equal(after.pixels[2], decode_image(images / "2.png", Square(16)))
    assert after.rejected == (("4.png", "absent"),)


def test_digests_depend_only_on_content(images: Path, tmp_path: Path) -> None:
    first = open_store(images, names(images), Square(16), directory=tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for i in range(5):
        shutil.copyfile(images / f"{i}.png", elsewhere / f"renamed{i}.png")
    assert open_store(elsewhere, names(elsewhere), Square(16), directory=tmp_path).digest == first.digest
    assert open_store(images, names(images)[::-1], Square(16), directory=tmp_path).digest != first.digest
    others = open_store(images, names(images), Square(16, "squash"), directory=tmp_path)
    assert others.digest != first.digest


def damage_pixels(folder: Path) -> None:
    with (folder / "pixels.u8").open("r+b") as file:
        file.seek(1000)
        file.write(b"?????")


def truncate_pixels(folder: Path) -> None:
    os.truncate(folder / "pixels.u8", 1000)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "pixels changed": damage_pixels,
    "pixels cut": truncate_pixels,
    "pixels gone": lambda folder: (folder / "pixels.u8").unlink(),
    "digests changed": lambda folder: (folder / "digests.u8").write_bytes(bytes(80)),
    "digests cut": lambda folder: os.truncate(folder / "digests.u8", 8),
    "index cut": lambda folder: os.truncate(folder / "index.json", 8),
    "index of another kind": lambda folder: (folder / "index.json").write_text("[]"),
    "a leftover of a killed builder": lambda folder: os.rename(folder, f"{folder}.abc.tmp"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_store_is_built_again(images: Path, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    good = open_store(images, names(images), Square(16), directory=tmp_path)
    expected, digest = np.array(good.pixels), good.digest
    damage(next(tmp_path.glob("images-*/index.json")).parent)
    again = open_store(images, names(images), Square(16), directory=tmp_path)
    assert np.array_equal(again.pixels, expected) and again.digest == digest
    assert not list(tmp_path.glob("images-*.tmp"))


def test_of_several_processes_one_builds(images: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from thaw.trainables.data.decoding import Square\n"
        "from thaw.trainables.data.image_store import open_store\n"
        "calls = []\n"
        "root, directory = map(Path, sys.argv[1:])\n"
        "files = sorted(path.name for path in root.iterdir())\n"
        "store = open_store(root, files, Square(16), directory=directory, progress=lambda *at: calls.append(at))\n"
        "print(store.digest, len(calls))\n"
    )
    command = [sys.executable, "-c", script, str(images), str(tmp_path / "cache")]
    here = ROOT
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=here) for _ in range(3)]
    output = [process.communicate(timeout=60)[0].split() for process in processes]
    assert len({digest for digest, _ in output}) == 1
    assert sorted(int(calls) for _, calls in output) == [0, 0, 1], "one process decoded"


# --- files that hang -------------------------------------------------------------------------------------------------


def test_hanging_reads_are_abandoned() -> None:
    hang = threading.Event()

    def work(i: int) -> int:
        if i in (0, 1, 5):
            hang.wait(30)
        return i * i

    started = time.monotonic()
    results = dict(supervision.supervised(work, 40, workers=2, timeout=0.3))
    assert time.monotonic() - started < 5
    hang.set()
    assert sorted(results) == list(range(40)), "every item once, though both workers hung"
    for i, result in results.items():
        if i in (0, 1, 5):
            assert isinstance(result, Rejected) and result.temporary
            assert result.reason == "reading took longer than 0.3 s"
        else:
            assert result == i * i


def test_a_hanging_read_does_not_keep_the_process_alive(images: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    # A pipe without a writer hangs in open(), like a file on a dead network file system. The patch hides that it is not
    # a regular file.
    script = (
        "import sys; from pathlib import Path; from thaw.trainables.data import image_store\n"
        "pipe, root, directory = map(Path, sys.argv[1:])\n"
        "image_store.file_identity = lambda path: (1, 1)\n"
        "(root / 'hang.png').symlink_to(pipe)\n"
        "from thaw.trainables.data.decoding import Square\n"
        "files = ['0.png', 'hang.png', '1.png']\n"
        "store = image_store.open_store(root, files, Square(16), directory=directory, timeout=0.3)\n"
        "print(store.usable.tolist(), store.rejected)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "pipe"), str(images), str(tmp_path / "cache")],
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[True, False, True] (('hang.png', 'reading took longer than 0.3 s'),)\n"


def test_other_exceptions_are_raised() -> None:
    def work(i: int) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(supervision.supervised(work, 4, workers=2, timeout=5))


def test_unreadable_files_are_tried_again_later(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened() -> ImageStore:
        return open_store(images, names(images), Square(16), directory=tmp_path)

    with monkeypatch.context() as context:
        real = image_store.decode_or_measure

        def denied(path: Path, square: Square) -> np.ndarray | tuple[str, Extent]:
            if path.name == "3.png":
                raise Rejected("cannot be read: Permission denied", temporary=True)
            return real(path, square)

        context.setattr(image_store, "decode_or_measure", denied)
        assert opened().rejected == (("3.png", "cannot be read: Permission denied"),)
    assert len(opened().rejected) == 1, "all processes of a search use the same store"
    index = next(tmp_path.glob("images-*/index.json"))
    index.write_text(json.dumps(json.loads(index.read_text()) | {"retry_after": time.time() - 1}))
    assert opened().rejected == ()


# --- wrong input -----------------------------------------------------------------------------------------------------


def test_errors(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="unknown resize 'corp'; did you mean crop"):
        open_store(images, names(images), Square(16, "corp"), directory=tmp_path)
    with pytest.raises(ConfigError, match="no image files"):
        open_store(images, [], Square(16), directory=tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written .*choose another folder"):
        open_store(images, names(images), Square(16), directory=tmp_path / "file")
    usage = shutil.disk_usage(tmp_path)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ConfigError, match="No space left on device.*needs 0.00 GB"):
        open_store(images, names(images), Square(16), directory=tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*/"))
