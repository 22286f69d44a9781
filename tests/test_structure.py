"""The shape of the code: imports go one way, and light commands load light packages."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGES = ("spaces", "trainables", "search", "analysis")
ALLOWED = {
    "spaces": {"spaces"},
    "trainables": {"spaces", "trainables"},
    "analysis": {"spaces", "analysis"},
    "search": {"spaces", "trainables", "search", "analysis"},
}
HEAVY = {"spaces": {"torch", "ray"}, "analysis": {"torch", "ray"}, "trainables": {"ray"}}
KNOWS_RAY = "trainables/trainable.py"


def imported(file: Path) -> set[str]:
    """Top-level names of everything a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_go_one_way(package: str) -> None:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files
    for file in files:
        names = imported(file)
        assert names & set(PACKAGES) <= ALLOWED[package], file
        if file.relative_to(ROOT).as_posix() != KNOWS_RAY:
            assert not names & HEAVY.get(package, set()), file


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import thaw.spaces, thaw.analysis, thaw.search.cli", ("torch", "ray")),
        ("import thaw.search.settings.config, thaw.search.describe_data", ("torch", "ray")),
        ("import thaw.search.best, thaw.search.summary, thaw.analysis.report", ("torch", "ray")),
        # What every worker loads before its first trial.
        ("import thaw.trainables.trainable", ("sklearn", "scipy", "timm", "optuna", "matplotlib")),
        (
            "import thaw.trainables.training.loop, thaw.search.prepare.preflight, thaw.search.dry_run",
            ("ray",),
        ),
    ],
)
def test_light_imports_stay_light(statement: str, absent: tuple[str, ...]) -> None:
    check = f"import sys; {statement}; sys.exit(' '.join(m for m in {absent!r} if m in sys.modules) or None)"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_files_stay_small() -> None:
    for package in PACKAGES:
        for file in (ROOT / package).rglob("*.py"):
            assert len(file.read_text(encoding="utf-8").splitlines()) <= 300, file
