"""The commands, search files, Python code and links in the README and the other pages work."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
from PIL import Image

import thaw
from tests.conftest import ROOT
from thaw.search.cli import app
from thaw.search.settings.config import load_config, preset_names
from thaw.trainables.data.decoding import FORMATS

README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md"))}
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def blocks(text: str, language: str = "") -> list[str]:
    """Code blocks of one language."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [block for named, block in found if named == language]


SEARCH_FILES = [block for page in PAGES.values() for block in blocks(page, "yaml") if block.startswith("name:")]


def in_blocks(text: str) -> list[str]:
    """Lines of the code blocks of no language, continued ones joined."""
    return [line for block in blocks(text) for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines()]


def calls(start: str, lines: list[str]) -> Iterator[str]:
    """The commands in these lines that are called like `start`, without comments."""
    for line in lines:
        if line.startswith(f"{start} ") and "…" not in line.partition("  #")[0].partition("   ")[0]:
            yield from re.split(r"\s{2,}|\s#", line)[0].split(" && ")


def commands(start: str) -> Iterator[tuple[str, str]]:
    """(page, command line) of everything in the pages that is called like `start`, in blocks or within a sentence."""
    for page, text in PAGES.items():
        if page == "reference.md":  # generated; its headings name what a command takes
            continue
        sentences = re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))
        yield from ((page, line) for line in calls(start, in_blocks(text) + sentences))


@pytest.mark.parametrize(("page", "line"), sorted(set(commands("thaw"))))
def test_commands_are_understood(page: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_network.py").touch()  # --import runs it
    name, *arguments = shlex.split(line)[1:]
    command = COMMANDS[name]
    # A sentence may name a command, or one of its options, without its required arguments.
    command.make_context(name, arguments, resilient_parsing=not arguments or arguments[0].startswith("-"))


@pytest.mark.parametrize(("page", "line"), sorted(set(commands("make"))))
def test_make_targets_exist(page: str, line: str) -> None:
    assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("text", SEARCH_FILES)
def test_search_files_load(tmp_path: Path, text: str) -> None:
    (tmp_path / "search.yaml").write_text(text, encoding="utf-8")
    assert load_config(tmp_path / "search.yaml").search_space.parameters


@pytest.mark.parametrize("text", [block for page in PAGES.values() for block in blocks(page, "python")])
def test_python_code_imports_existing_names(text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == "thaw":
            assert all(hasattr(thaw, alias.name) for alias in node.names)


def test_links_have_targets() -> None:
    for page, text in PAGES.items():
        folder = ROOT if page == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", text):
            file, anchor = target
            if "://" in file:
                continue
            path = folder / (file or page)
            assert path.exists(), (page, target)
            if anchor:
                heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
                assert anchor in {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}, (
                    page,
                    target,
                )


def test_every_image_format_and_preset_is_named() -> None:
    formats = README.lower().replace("jpeg 2000", "jpeg2000")
    assert all(re.search(rf"\b{name.lower()}\b", formats) for name in FORMATS)
    assert all(f"`{name}`" in README for name in preset_names())


SMALLER = {
    "[resnet50, mobilenet_v2, convnext_tiny]": "[resnet18]",
    "image_size: 128": "image_size: 32",
    "epochs: 15": "epochs: 2, head_units: 0",  # timm takes linear heads
    "trials: 64": "trials: 4",
    "--trials 20": "--trials 2",
    "training.epochs=5": "training.epochs=1",
    "/tmp/runs": "other-runs",
    "--trials 100": "--trials 5",
}
"""Text of the README → replacement in its test, which then takes minutes and no downloads."""


def smaller(text: str) -> str:
    for ours, theirs in SMALLER.items():
        text = text.replace(ours, theirs)
    return text


@pytest.mark.slow
def test_the_readme_runs_as_written(tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path) -> None:
    """Run every command of its blocks in order, in one folder, then its Python code in another."""
    shutil.copytree(squares, tmp_path / "photos")
    (tmp_path / "new-photos").mkdir()
    (tmp_path / "more" / "deep").mkdir(parents=True)
    for number in range(4):
        with Image.open(squares / "images" / f"{number}.png") as image:
            for place in ("new-photos", "more/deep"):
                image.convert("RGB").save(tmp_path / place / f"{number}.jpg")

    def call(line: str, folder: Path = tmp_path) -> None:
        [name, *arguments] = shlex.split(line)
        assert name == "thaw"
        done = subprocess.run(
            [sys.executable, "-m", "thaw", *arguments], cwd=folder, capture_output=True, text=True, timeout=300
        )
        assert done.returncode == 0, (line, done.stdout, done.stderr)

    # Only the weights and the cache are added to the README's own file.
    local = f"weights: {{resnet18: {resnet18_file}}}\ncache: {{directory: {cache}}}\n"
    ran, run = [], tmp_path / "results/photos-transfer"
    for line in calls("thaw", in_blocks(README)):
        if line == "thaw search search.yaml" and ran == ["thaw init photos"]:
            # `thaw init` chose networks whose weights would be downloaded; from here the README's own file is used.
            (tmp_path / "search.yaml").write_text(smaller(SEARCH_FILES[0]) + local)
            continue
        if "photos-transfer-2" in line:
            shutil.copytree(run, tmp_path / "results/photos-transfer-2")
        if "confirm" in line and (run / "confirm").exists():
            shutil.rmtree(run / "confirm")  # as the README says
        call(smaller(line))
        ran.append(line)
    assert len(ran) > 15
    # Python comes last in the README, and the run exists by now.
    shutil.rmtree(tmp_path / "results")
    for name in "ab":
        shutil.copy(tmp_path / "new-photos" / "0.jpg", tmp_path / f"{name}.jpg")
    [script] = blocks(README, "python")
    (tmp_path / "script.py").write_text(script)
    done = subprocess.run([sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "a.jpg" in done.stdout and "b.jpg" in done.stdout
