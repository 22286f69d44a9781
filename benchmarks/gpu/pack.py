"""Packs what a GPU machine without network access lacks into the folder .gpu of the repository.

python -m benchmarks.gpu.pack --data DIR --weights FILE

Run it where packages can be downloaded, copy the checkout with .gpu to the GPU machine, and run `make gpu-check`.
"""

from __future__ import annotations

import argparse
import csv
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

KIT = Path(".gpu")
SITE, PHOTOS, WEIGHTS = "site-{python}.tar.xz", "photos.tar", "weights.pth"
"""File names within the kit: packages for a version of Python, photos with their labels, weights of MobileNetV2."""

PACKAGES = (
    *("ray", "jsonschema", "jsonschema-specifications", "referencing", "rpds-py", "tensorboardx"),
    *("optuna", "alembic", "mako", "sqlalchemy", "greenlet", "colorlog"),
    *("pydantic", "pydantic-core", "annotated-types", "typing-inspection"),
    *("iterative-stratification", "rich", "pytest-timeout"),
    *("attrs", "msgpack", "requests", "urllib3", "certifi", "charset-normalizer"),
)
"""What images for training on GPUs may lack, with what these need in turn."""

EXPECTED = (
    *("torch", "torchvision", "timm", "pandas", "pyarrow", "scikit-learn", "scipy", "matplotlib", "tensorboard"),
    *("typer", "psutil", "pytest"),
)
"""What is expected there, torch for CUDA, with all that these need."""

UNUSED = (
    *("ray/jars", "ray/dashboard/client", "ray/rllib", "ray/llm", "ray/serve", "ray/cpp"),
    *("ray/core/src/plasma", "ray/core/libjemalloc.so", "ray/data/examples", "ray/train/examples", "ray/tune/examples"),
    *("bin", "include", "tests", "*/tests", "*/*/tests", "**/__pycache__", "**/*.pyi", "**/*.js", "**/*.map"),
)
"""Patterns of files that no search needs: three quarters of Ray."""

PROGRAMS = ("ray/core/src/ray/gcs/gcs_server", "ray/core/src/ray/raylet/raylet")


def pack_packages(kit: Path, python: str, work: Path) -> None:
    """Pack the packages in the versions installed here, for Linux on x86-64 and Python `python` (``3.12``)."""
    site = work / "site"
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--only-binary=:all:"),
            *("--implementation", "cp", "--python-version", python, "--target", str(site)),
            *(part for minor in (34, 28, 17) for part in ("--platform", f"manylinux_2_{minor}_x86_64")),
            *("--platform", "manylinux2014_x86_64"),
            *(f"{name}=={version(name)}" for name in PACKAGES),
        ],
        check=True,
    )
    for pattern in UNUSED:
        for path in list(site.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    programs = [site / name for name in PROGRAMS]
    for program in programs:
        program.chmod(0o755)
    if shutil.which("strip"):  # symbols are for debuggers
        for binary in (*site.rglob("*.so"), *programs):
            subprocess.run(["strip", "--strip-unneeded", str(binary)], stderr=subprocess.DEVNULL)
    with tarfile.open(kit / SITE.format(python=python), "w:xz", preset=6) as archive:
        archive.add(site, ".")


def pack_photos(kit: Path, data: Path, count: int) -> None:
    """Pack the first `count` photos of a folder with ``images/`` and ``labels.csv``, as a folder of the same layout."""
    with (data / "labels.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[: count + 1]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    content = text.getvalue().encode()
    column = rows[0].index("filename")
    with tarfile.open(kit / PHOTOS, "w", dereference=True) as archive:
        labels = tarfile.TarInfo("labels.csv")
        labels.size = len(content)
        archive.addfile(labels, io.BytesIO(content))
        for row in rows[1:]:
            archive.add(data / "images" / row[column], f"images/{row[column]}")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with images/ and labels.csv; default: the built-in digits")
    parser.add_argument("--photos", type=int, default=800, help="only the first N (default: %(default)s)")
    parser.add_argument("--weights", type=Path, help="ImageNet weights of mobilenet_v2; default: random ones")
    parser.add_argument("--python", default="3.12", help="Python version of the GPU machine (default: %(default)s)")
    parser.add_argument("--no-packages", action="store_true", help="if Thaw is already installed on the GPU machine")
    parser.add_argument("--to", type=Path, default=KIT, help="(default: %(default)s)")
    options = parser.parse_args(arguments)
    kit: Path = options.to
    if kit.exists():
        shutil.rmtree(kit)
    kit.mkdir(parents=True)
    if not options.no_packages:
        with tempfile.TemporaryDirectory(prefix="thaw-pack-") as work:
            pack_packages(kit, options.python, Path(work))
    if options.data:
        pack_photos(kit, options.data, options.photos)
    if options.weights:
        shutil.copyfile(options.weights, kit / WEIGHTS)
    for file in sorted(kit.iterdir()):
        print(f"{file}: {file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
