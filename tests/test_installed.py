"""Thaw as users install it: from a wheel, an unpacked sdist or a clone, in a folder of files with everyday names."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

import thaw
from tests.conftest import ROOT
from tests.searches import search_file

SHADOWS = ("search", "spaces", "analysis", "trainables", "thaw_notes")
"""Modules of the user's own, named as Thaw's rooms were when they were packages at the top."""

OUTSIDE = ("torch", "numpy", "pandas", "ray", "optuna", "yaml", "rich", "typer", "PIL", "pydantic", "sklearn")


def run(
    arguments: list[object], folder: Path, path: list[Path] | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run Python in `folder`, with `path` for PYTHONPATH."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if path:
        inherited["PYTHONPATH"] = os.pathsep.join(map(str, path))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the files that packaging reads, with links kept as links."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("thaw", "search", "spaces", "trainables", "analysis"):
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    return folder


@pytest.fixture(scope="module")
def packages(clone: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """``sdist``; ``wheel``, built from the clone; ``unpacked``, the wheel built from the sdist."""
    made = tmp_path_factory.mktemp("packages")
    build = "import sys, setuptools.build_meta as b; print(getattr(b, sys.argv[1])(sys.argv[2]))"

    def package(kind: str, source: Path, to: str) -> Path:
        (made / to).mkdir()
        done = run(["-c", build, f"build_{kind}", made / to], source)
        assert done.returncode == 0, done.stderr
        return made / to / done.stdout.splitlines()[-1]

    source = shutil.copytree(clone, made / "source", symlinks=True)
    sdist = package("sdist", source, "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(made, filter="data")
    inside = made / sdist.name.removesuffix(".tar.gz")
    return {
        "sdist": sdist,
        "wheel": package("wheel", source, "wheel"),
        "unpacked": package("wheel", inside, "unpacked"),
    }


@pytest.fixture(scope="module")
def site(packages: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("site")
    options = ["--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target", folder]
    done = run(["-m", "pip", "install", *options, packages["wheel"]], folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def traps(tmp_path: Path) -> Iterator[Path]:
    """A folder of modules with common names, none of which may be imported; this is checked afterwards."""
    (tmp_path / "empty.py").write_text("import json, sys; print(json.dumps([*sys.modules]))")
    # Thaw cannot prevent imports that Python does before the first line of `python -m MODULE`.
    before = json.loads(run(["-m", "empty"], tmp_path).stdout)
    ran = tmp_path.parent / f"{tmp_path.name}-ran"
    for name in {*sys.stdlib_module_names, *OUTSIDE, *SHADOWS} - {*before, "antigravity", "this"}:
        (tmp_path / f"{name}.py").write_text(
            f"open({str(ran)!r}, 'a').write('{name} ')\nraise SystemExit('{name} ran')"
        )
    (tmp_path / "trainables").mkdir()
    (tmp_path / "trainables" / "__init__.py").write_text(f"open({str(ran)!r}, 'a').write('trainables/ ')")
    yield tmp_path
    assert not ran.exists(), ran.read_text()


def test_a_wheel_holds_one_package_and_no_links(packages: dict[str, Path]) -> None:
    with zipfile.ZipFile(packages["wheel"]) as wheel, zipfile.ZipFile(packages["unpacked"]) as again:
        names = set(wheel.namelist())
        assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {"thaw"}
        ours = {path.relative_to(ROOT).as_posix() for room in SHADOWS[:4] for path in (ROOT / room).rglob("*.py")}
        assert {f"thaw/{name}" for name in ours} == {
            name for name in names if name.count("/") > 1 and name.endswith(".py")
        }
        assert {"thaw/spaces/presets/transfer.yaml", "thaw/analysis/report/page.html"} <= names
        assert not [info.filename for info in wheel.infolist() if (info.external_attr >> 28) == 0xA], "links"
        assert set(again.namelist()) == names
    with tarfile.open(packages["sdist"]) as archive:
        assert not [member.name for member in archive if member.issym() or "/tests/" in member.name]


def test_the_public_names_are_there() -> None:
    assert all(hasattr(thaw, name) for name in thaw.__all__) and set(thaw.__all__) == {*thaw.PUBLIC, "search"}


PLACES = """
import json, sys
from thaw.search.backends.ray.session import running_ray

def place():
    import os, sys, thaw
    return thaw.__file__, [folder for folder in sys.path if os.path.realpath(folder or ".") == os.getcwd()]

if __name__ == "__main__":
    with running_ray(1):
        import ray
        print(json.dumps(ray.get(ray.remote(num_cpus=1)(place).remote())))
"""


@pytest.mark.parametrize("kind", ["wheel", "clone"])
def test_where_workers_look_for_modules(kind: str, site: Path, clone: Path, traps: Path) -> None:
    """Not in the current folder, nor in the script's; ours is found wherever this process found it."""
    (traps / "mine.py").write_text(f"import sys; sys.path[:] = [*sys.path[1:], {str(clone)!r}]\n{PLACES}")
    done = run(["mine.py"], traps, [site] if kind == "wheel" else None)
    assert done.returncode == 0, done.stderr
    place, here = json.loads(done.stdout)
    # A wheel on PYTHONPATH comes before the clone.
    assert Path(place).is_relative_to(site if kind == "wheel" else clone) and here == []


@pytest.mark.parametrize("command", ["script", "module"])
def test_the_users_files_do_not_run_in_our_process(
    command: str, site: Path, traps: Path, squares: Path, cache: Path
) -> None:
    file = search_file(traps, squares, cache)
    done = run([*COMMANDS[command](site), "data", file.name], traps, [site])
    assert done.returncode == 0 and "120 images; 3 labels" in done.stdout, done.stderr


COMMANDS = {"script": lambda site: [site / "bin" / "thaw"], "module": lambda site: ["-m", "thaw"]}
"""The two ways to start Thaw."""


@pytest.mark.slow
def test_every_command_next_to_files_of_all_names(
    site: Path, traps: Path, squares: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Ten commands, started in both ways in turn, in a folder of traps; PYTHONPATH leads to another one with modules
    of our rooms' names."""
    own = tmp_path_factory.mktemp("own")
    for name in SHADOWS:
        (own / f"{name}.py").write_text("raise SystemExit('the user runs')")
    file = search_file(traps, squares, cache, output="results")
    images = str(squares / "images")
    starts = itertools.cycle(command(site) for command in COMMANDS.values())

    def call(*arguments: str) -> str:
        done = run([*next(starts), *arguments], traps, [site, own])
        print("thaw", *arguments, "->", done.returncode)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run_folder = "results/squares"
    call("data", file.name)
    call("describe", "resnet18", "--freeze-depth", "3")
    call("search", file.name, "--dry-run")
    assert "2 completed" in call("search", file.name, "--trials", "2")
    assert "4 completed" in call("search", file.name, "--backend", "local", "--output", "local")
    call("resume", run_folder, "--trials", "4")
    assert yaml.safe_load(call("best", run_folder))["architecture"] == "convnet"
    call("report", run_folder)
    call("confirm", run_folder, "--top", "2", "--folds", "2")
    call("export", run_folder, "--to", "model")
    call("predict", "model", images, "--to", "predictions.csv")
    call("train", "model/config.yaml", "--to", "again")


UNGUARDED = """
import sys
sys.path[:] = sys.path[1:]
import thaw
print("once")
print(*thaw.search("search.yaml", backend="local", progress=False).trials["status"])
"""
"""A script that searches as it is imported. Python itself adds its folder to the path."""


@pytest.mark.slow
def test_local_workers_run_neither_the_script_nor_files_next_to_it(
    site: Path, traps: Path, squares: Path, cache: Path
) -> None:
    search_file(traps, squares, cache, output="results")
    (traps / "mine.py").write_text(UNGUARDED)
    done = run(["mine.py"], traps, [site])
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["once", "completed completed completed completed"]


BROKEN_IN_WORKERS = """
import os, sys
from pathlib import Path
import torch
from thaw.__main__ import main

Path("broken").mkdir()
Path("broken/torch.py").write_text("raise ImportError('libfast.so.1: cannot open shared object file')")
os.environ["PYTHONPATH"] = os.pathsep.join(["broken", os.environ["PYTHONPATH"]])
sys.argv = ["thaw", "search", "search.yaml", "--trials", "2"]
main()
"""


@pytest.mark.slow
def test_failed_imports_of_workers_are_reported_and_not_retried(
    site: Path, tmp_path: Path, squares: Path, cache: Path
) -> None:
    search_file(tmp_path, squares, cache, output="results")
    done = run(["-c", BROKEN_IN_WORKERS], tmp_path, [site])
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("cannot import what it needs: ImportError: libfast.so.1: cannot open") == 2
    assert "torch.py" in done.stdout and "2 failed" in done.stdout
    assert "died" not in done.stdout and "interrupted" not in done.stdout
