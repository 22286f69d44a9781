"""Files and folders are written completely or not at all; the next process removes what a killed one left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.mounts import read_only, small_disk
from thaw.analysis.run_folder import RunFolder
from thaw.spaces import ConfigError
from thaw.spaces.files import (
    TEMPORARY,
    check_new,
    check_new_folder,
    check_writable,
    new_file,
    new_folder,
    replaced_file,
)

WRITER = """
import sys, time
from pathlib import Path
from thaw.spaces import files
with getattr(files, sys.argv[1])(Path(sys.argv[2])) as temporary:
    (temporary / "part" if temporary.is_dir() else temporary).write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def writer(kind: str, path: Path) -> subprocess.Popen[str]:
    """A process that is in the middle of writing `path`."""
    command = [sys.executable, "-c", WRITER, kind, str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "writing\n"
    return process


@pytest.mark.parametrize("kind", ["new_file", "new_folder"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_leftovers_of_a_killed_process_are_removed_by_the_next(
    tmp_path: Path, kind: str, number: signal.Signals
) -> None:
    killed, living = writer(kind, tmp_path / "one"), writer(kind, tmp_path / "two")
    try:
        killed.send_signal(number)
        killed.wait()
        assert not (tmp_path / "one").exists()
        with new_file(tmp_path / "three.csv"):
            unfinished = list(tmp_path.glob(f".*{TEMPORARY}"))
        names = {path.name.split(".")[1] for path in unfinished}
        assert names == {"two", "three"}, "files of a living process stay"
    finally:
        living.kill()
        living.wait()


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("there", "link"):
        with pytest.raises(ConfigError, match="exists already and is never overwritten; choose another --output"):
            check_new(tmp_path / name, "--output")
    with pytest.raises(ConfigError, match="exists already"), new_file(tmp_path / "late"):
        (tmp_path / "late").touch()
    assert not list(tmp_path.glob(f".*{TEMPORARY}"))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text("before")
    with pytest.raises(ZeroDivisionError), replaced_file(file) as temporary:
        temporary.write_text("half")
        1 / 0  # noqa: B018
    assert file.read_text() == "before" and list(tmp_path.iterdir()) == [file]
    with replaced_file(file) as temporary:
        temporary.write_text("after")
    assert file.read_text() == "after" and list(tmp_path.iterdir()) == [file]


def test_a_place_without_room_is_refused_beforehand(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "1m") as disk:
        check_new(disk / "a", size=500_000)
        with pytest.raises(ConfigError, match=r"must be writable, .*disk is not \(2 MB are needed, 1 MB are free\)"):
            check_new(disk / "a", size=2_000_000)
        with (disk / "filling").open("wb", buffering=0) as filling, pytest.raises(OSError, match="No space left"):
            while True:
                filling.write(bytes(4096))
        for check in (check_writable, lambda folder: check_new(folder / "deep" / "a")):
            with pytest.raises(ConfigError, match=r"must be writable.*No space left on device"):
                check(disk)


def test_a_place_that_cannot_be_written_is_refused_beforehand(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="must be writable"):
        check_new(tmp_path / "file" / "a")
    (tmp_path / "archive").mkdir()
    with read_only(tmp_path / "archive") as folder:
        with pytest.raises(ConfigError, match=r"Read-only file system.*; choose another --to"):
            check_new(folder / "a")
        with pytest.raises(ConfigError, match=r"Read-only file system.*work on a copy"):
            check_writable(folder)


def test_a_folder_is_filled_before_it_has_its_name(tmp_path: Path) -> None:
    with new_folder(tmp_path / "a" / "b") as folder:
        (folder / "content").touch()
        assert not (tmp_path / "a" / "b").exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
    assert (tmp_path / "a" / "b" / "content").exists()


def test_weights_need_a_path_that_is_text(tmp_path: Path) -> None:
    odd = tmp_path / os.fsdecode(b"F\xf6tos")
    check_new(odd)
    with pytest.raises(ConfigError, match=r"must be text in this system's encoding .*choose another --to"):
        check_new_folder(odd / "model")
    with pytest.raises(ConfigError, match="choose another name or --output"):
        RunFolder(odd / "run").check_new()
