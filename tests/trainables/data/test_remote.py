"""Remote images are read as on a local disk: from fsspec's own file systems, and a web server on loopback."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest
from PIL import Image

from tests.searches import comparable_history, resume, small_config, small_search
from thaw.search.cache import stored
from thaw.search.prepare.data_set import load_dataset
from thaw.search.settings.config import load_config
from thaw.spaces import ConfigError
from thaw.trainables.data import remote
from thaw.trainables.data.dataset import read_dataset
from thaw.trainables.data.decoding import Square
from thaw.trainables.data.remote import RemoteFolder, is_remote


def picture(shade: int) -> bytes:
    content = io.BytesIO()
    Image.new("L", (8, 8), shade).save(content, "PNG")
    return content.getvalue()


@pytest.fixture
def bucket() -> Iterator[Any]:
    """Folders of labels in fsspec's memory file system."""
    memory = fsspec.filesystem("memory")
    for label in ("cat", "dog"):
        for number in range(3):
            memory.pipe(f"/bucket/{label}/{number}.png", picture(10 * number))
    yield memory
    memory.rm("/bucket", recursive=True)


@contextmanager
def web_server(folder: Path, fails_after: int | None = None, index: bytes | None = None) -> Iterator[tuple[str, list]]:
    """A web server of a folder, and the images requested from it.

    Args:
        fails_after: number of requests after which all fail.
        index: content of every page; by default a list of the folder.
    """
    requested: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.endswith(".png"):
                requested.append(self.path)
                if fails_after is not None and len(requested) > fails_after:
                    self.send_error(503)
                    return
            elif index is not None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(index)
                return
            super().do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", requested
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("place", "remote"),
    [("s3://bucket/photos", True), ("https://host/a", True), ("/photos", False), ("c:/photos", False), ("a:b", False)],
)
def test_a_url_is_remote(place: str, remote: bool) -> None:
    assert is_remote(place) == remote


def test_folders_of_labels_are_read_without_copying_images(bucket: Any, tmp_path: Path) -> None:
    there = RemoteFolder("memory://bucket", tmp_path).listed()
    dataset = read_dataset(there.root)
    assert dataset.classes == ("cat", "dog") and len(dataset.files) == 6 and dataset.absent() == []
    assert all((there.root / file).stat().st_size == 0 for file in dataset.files), "nothing was copied"
    there.fetch(["cat/0.png"])
    assert (there.root / "cat/0.png").read_bytes() == picture(0)
    assert (there.root / "cat/1.png").stat().st_size == 0


def test_only_changed_files_are_copied_again(bucket: Any, tmp_path: Path) -> None:
    names = [f"{label}/{number}.png" for label in ("cat", "dog") for number in range(3)]
    there = RemoteFolder("memory://bucket", tmp_path).listed()
    progress: list[tuple[int, int]] = []
    there.fetch(names, lambda *done: progress.append(done))
    assert progress == [(number, 6) for number in range(1, 7)]
    before = {name: (there.root / name).stat().st_mtime_ns for name in names}
    bucket.pipe("/bucket/cat/1.png", picture(200))
    bucket.rm("/bucket/dog/2.png")
    again = RemoteFolder("memory://bucket", tmp_path).listed()
    assert again.version != there.version
    again.fetch(names[:5])
    assert (again.root / "cat/1.png").read_bytes() == picture(200)
    assert not (again.root / "dog/2.png").exists()
    untouched = [name for name in names[:5] if name != "cat/1.png"]
    assert all((again.root / name).stat().st_mtime_ns == before[name] for name in untouched)


def test_another_machine_lists_the_folder_itself(bucket: Any, tmp_path: Path) -> None:
    here = RemoteFolder("memory://bucket", tmp_path / "here").listed()
    there = RemoteFolder(here.url, tmp_path / "there", here.version)
    there.fetch(["dog/1.png"])
    assert (there.root / "dog/1.png").read_bytes() == picture(10)


def test_a_web_folder_gives_the_same_as_a_disk(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    names = ["a b.png", "ä%20.png", "below/c#1.png"]
    (tmp_path / "site" / "below").mkdir(parents=True)
    for number, name in enumerate(names):
        (tmp_path / "site" / name).write_bytes(picture(number))
    (tmp_path / "labels.csv").write_text("file,label\n" + "".join(f"{name},l{i}\n" for i, name in enumerate(names)))
    with web_server(tmp_path / "site") as (address, requested):
        there = RemoteFolder(address, tmp_path / "copies").listed()
        assert requested == []
        dataset = read_dataset(there.root, tmp_path / "labels.csv")
        there.fetch(dataset.files)
        there.fetch(dataset.files)
        assert len(requested) == len(names), "each is read once"
    for number, name in enumerate(names):
        assert np.unique(dataset.decode(dataset.files.index(name), Square(8), None)).tolist() == [number]


def test_an_interrupted_copy_is_completed(tmp_path: Path, squares: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("aiohttp")
    monkeypatch.setattr(remote, "CONNECTIONS", 1)
    names = [f"{number}.png" for number in range(20)]
    with web_server(squares / "images", fails_after=8) as (address, _):
        there = RemoteFolder(address, tmp_path).listed()
        message = (
            r"images: 12 of 20 files of http://\S+ cannot be copied \(first: 8.png: .*503.*run the same command again"
        )
        with pytest.raises(ConfigError, match=message):
            there.fetch(names)
        port = int(address.rpartition(":")[2])
    assert sum((there.root / name).stat().st_size > 0 for name in names) == 8
    assert list(there.folder.glob("*.unfinished")) == []
    requested: list[str] = []

    class Later(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            requested.append(self.path)
            super().do_GET()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), partial(Later, directory=str(squares / "images")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        there.fetch(names)
    finally:
        server.shutdown()
        server.server_close()
    assert sorted(requested) == sorted(f"/{name}" for name in names[8:])
    assert all((there.root / name).read_bytes() == (squares / "images" / name).read_bytes() for name in names)


def test_no_name_leaves_the_copy(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "good.png").write_bytes(picture(1))
    evil = b'<a href="good.png">1</a> <a href="..%2F..%2Fevil.png">2</a> <a href="/%2e%2e/evil.png">3</a>'
    evil += b' <a href="%2Fetc%2Fevil.png">4</a> <a href="a%5C..%5Cevil.png">5</a> <a href="?C=N;O=D">6</a>'
    with web_server(tmp_path / "site", index=evil) as (address, _):
        there = RemoteFolder(address, tmp_path / "copies").listed()
    assert [file.name for file in there.root.rglob("*")] == ["good.png"]
    assert list(tmp_path.rglob("*evil*")) == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("memory://nothing-there", "images: memory://nothing-there lists no files; correct the URL"),
        ("http://127.0.0.1:9/photos", "images: http://127.0.0.1:9/photos (cannot be listed|lists no files)"),
        ("nosuch://photos", "images: nosuch://photos: Protocol not known: nosuch.*give a folder, or s3://"),
    ],
)
def test_errors_name_the_url(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        RemoteFolder(url, tmp_path).listed()


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fsspec.core

    def absent(url: str) -> Any:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", absent)
    with pytest.raises(ConfigError, match=re.escape("Install s3fs to access S3; pip install 'thaw-tune[s3]'")):
        RemoteFolder("s3://bucket/photos", tmp_path).listed()


def test_a_search_on_remote_images_gives_the_same_as_on_local_ones(tmp_path: Path, squares: Path) -> None:
    pytest.importorskip("aiohttp")
    cache = tmp_path / "cache"
    one = {"space": {"learning_rate": [0.003]}, "training": {"epochs": 1}}
    local = small_search(tmp_path / "local", squares, tmp_path / "other", **one)
    with web_server(squares / "images") as (address, requested):
        run = small_search(tmp_path / "web", squares, cache, data={"images": f"{address}/"}, **one)
        assert len(requested) == 120
    assert load_config(run.folder.search_file).data.images == f"{address}/"
    assert comparable_history(run).equals(comparable_history(local))
    assert run.folder.provenance()["data"]["fingerprint"] == local.folder.provenance()["data"]["fingerprint"]
    assert {one.content for one in stored(cache)} >= {f"copies of images in {address}/", "decoded images"}
    # The images may move to the local disk.
    resume(run.folder, [f"data.images={squares / 'images'}"])


def test_labels_of_a_remote_folder_are_read_without_its_images(bucket: Any, tmp_path: Path, squares: Path) -> None:
    config = small_config(tmp_path, squares, tmp_path, data={"images": "memory://bucket", "labels": None})
    assert load_dataset(config).classes == ("cat", "dog")
