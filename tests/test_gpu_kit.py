"""The kit for machines with a GPU: it packs all that is needed, and every part runs, here on a processor."""

from __future__ import annotations

import json
import sys
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from benchmarks.gpu import check, pack
from benchmarks.gpu.check import PARTS, Setting, run_parts, unpack


def needed(*names: str) -> set[str]:
    """Packages and their dependencies, with extras only where requested."""
    found: set[tuple[str, str]] = set()
    left = [Requirement(name) for name in names]
    while left:
        one = left.pop()
        key = canonicalize_name(one.name), str(sorted(one.extras))
        if key in found:
            continue
        try:
            inner = map(Requirement, distribution(one.name).requires or [])
        except PackageNotFoundError:  # of another system
            continue
        found.add(key)
        extras = ("", *one.extras)
        left += [r for r in inner if not r.marker or any(r.marker.evaluate({"extra": extra}) for extra in extras)]
    return {name for name, _ in found}


def test_all_dependencies_are_packed() -> None:
    lacking = needed("thaw-tune", "pytest-timeout") - needed(*pack.EXPECTED) - {*pack.PACKAGES, "thaw-tune"}
    # Imported where a plot for a browser is drawn, and nowhere else.
    assert lacking == {"plotly"}


def test_photos_are_packed_with_their_labels_and_links_as_files(squares: Path, tmp_path: Path) -> None:
    data, first = tmp_path / "data", squares / "images" / "0.png"
    (data / "images").mkdir(parents=True)
    (data / "images" / "a b,c.png").symlink_to(first)
    (data / "labels.csv").write_text('labels,filename\nred,"a b,c.png"\nblue,absent.png\n')
    pack.main(["--data", str(data), "--photos", "1", "--no-packages", "--to", str(tmp_path / "kit")])
    unpack(tmp_path / "kit", tmp_path / "there")
    there = tmp_path / "there" / "photos"
    assert (there / "labels.csv").read_text() == 'labels,filename\nred,"a b,c.png"\n'
    copy = there / "images" / "a b,c.png"
    assert copy.read_bytes() == first.read_bytes() and not copy.is_symlink()


def test_packages_for_another_python_are_refused(tmp_path: Path) -> None:
    (tmp_path / "site-2.7.tar.xz").touch()
    own = f"{sys.version_info.major}.{sys.version_info.minor}"
    with pytest.raises(SystemExit, match=rf"site-2\.7\.tar\.xz: packages for another Python, this is {own}; pack with"):
        unpack(tmp_path, tmp_path / "there")


def test_a_part_that_hangs_or_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting("cpu", True, "digits", None, tmp_path)
    scripts = {"hangs": "import time; print('begun', flush=True); time.sleep(60)", "fails": "1 / 0", "runs": "print(1)"}
    commands = {name: (1, lambda _, text=text: ["-c", text]) for name, text in scripts.items()}
    monkeypatch.setattr(check, "PARTS", commands)
    monkeypatch.setattr(check, "MIN_SECONDS", 0.1)
    summary = run_parts(list(scripts), setting, {}, 60)
    assert [part["status"] for part in summary.values()] == [124, 1, 0]
    assert "begun" in (tmp_path / "hangs.log").read_text() and "ZeroDivision" in (tmp_path / "fails.log").read_text()
    assert json.loads((tmp_path / "summary.json").read_text()) == summary
    assert run_parts(["runs"], setting, {}, 0)["runs"]["status"] is None


def test_no_part_is_left_out_silently(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        check.main(["probes"])
    assert "unknown part probes; known: ray, tests, probe" in capsys.readouterr().err


@pytest.mark.slow  # trains on every path that a GPU would take
def test_every_part_runs_on_a_processor(tmp_path: Path) -> None:
    arguments = [
        "--device",
        "cpu",
        "--quick",
        "--seconds",
        "1500",
        "--kit",
        str(tmp_path / "none"),
        "--to",
        str(tmp_path),
    ]
    assert check.main(arguments) == 0
    assert list(json.loads((tmp_path / "summary.json").read_text())) == list(PARTS)
    figures = json.loads((tmp_path / "probe.json").read_text())
    assert not [name for name, found in figures.items() if "error" in found]
    assert (tmp_path / "speed-head.json").is_file()
