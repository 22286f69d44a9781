"""What the README and the other pages say is true: their commands, search files, Python and links work."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main

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
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


SEARCH_FILES = [block for page in PAGES.values() for block in blocks(page, "yaml") if block.startswith("name:")]


def commands(start: str) -> Iterator[tuple[str, str]]:
    """(page, command line) of everything in the pages that is called like `start`, in blocks or within a sentence."""
    for page, text in PAGES.items():
        if page == "reference.md":  # generated; its headings name what a command takes
            continue
        lines = [line for block in blocks(text) for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines()]
        lines += re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))
        for line in lines:
            if line.startswith(f"{start} ") and "…" not in line.partition("  #")[0].partition("   ")[0]:
                yield from ((page, one) for one in re.split(r"\s{2,}|\s#", line)[0].split(" && "))


@pytest.mark.parametrize(("page", "line"), sorted(set(commands("thaw"))))
def test_commands_are_understood(page: str, line: str) -> None:
    name, *arguments = shlex.split(line)[1:]
    command = COMMANDS[name]
    # A sentence may name a command, or an option of it, without all that it needs.
    command.make_context(name, arguments, resilient_parsing=not arguments or arguments[0].startswith("-"))


@pytest.mark.parametrize(("page", "line"), sorted(set(commands("make"))))
def test_make_targets_exist(page: str, line: str) -> None:
    assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("text", SEARCH_FILES)
def test_search_files_load(tmp_path: Path, text: str) -> None:
    (tmp_path / "search.yaml").write_text(text, encoding="utf-8")
    assert load_config(tmp_path / "search.yaml").search_space.parameters


@pytest.mark.parametrize("text", [block for page in PAGES.values() for block in blocks(page, "python")])
def test_python_imports_what_there_is(text: str) -> None:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and node.module == "thaw":
            assert all(hasattr(thaw, alias.name) for alias in node.names)


def test_links_lead_somewhere() -> None:
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
