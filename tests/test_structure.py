"""The shape of the code: rooms whose imports go one way, no circles, and light commands that load light packages.

``make structure`` prints the numbers.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import ROOT

BENEATH: dict[str, tuple[str, ...]] = {
    "spaces": (),
    "trainables.seeding": (),
    "trainables.device": (),
    "trainables.device_memory": (),
    "trainables.messages": ("spaces",),
    "trainables.exchange": (),
    "trainables.data": ("spaces", "trainables.seeding"),
    "trainables.networks": ("spaces", "trainables.device"),
    "trainables.evaluation": ("spaces",),
    "trainables.context": (
        "trainables.messages",
        "trainables.exchange",
        "trainables.data",
        "trainables.networks",
        "trainables.evaluation",
    ),
    "trainables.activations": ("trainables.context", "trainables.device_memory"),
    "trainables.training": ("trainables.activations",),
    "trainables.trainable": ("trainables.training",),
    "trainables.bundles": ("trainables.data", "trainables.networks", "trainables.evaluation"),
    "analysis.words": ("spaces",),
    "analysis.clock": (),
    "analysis.csv_text": ("spaces",),
    "analysis.shapes": ("spaces",),
    "analysis.event_shapes": ("analysis.records", "analysis.shapes"),
    "analysis.run_folder": ("analysis.csv_text", "analysis.event_shapes", "analysis.shapes"),
    "analysis.records": ("spaces",),
    "analysis.earlier": ("analysis.records", "analysis.words"),
    "analysis.objectives": ("analysis.records",),
    "analysis.optimism": ("spaces",),
    "analysis.cost": ("analysis.records",),
    "analysis.tables": ("analysis.cost",),
    "analysis.run_data": (
        "analysis.tables",
        "analysis.earlier",
        "analysis.objectives",
        "analysis.clock",
        "analysis.run_folder",
    ),
    "analysis.equal_epochs": ("analysis.run_data", "analysis.words"),
    "analysis.importance": ("analysis.equal_epochs",),
    "analysis.plots": ("analysis.importance",),
    "analysis.report": ("analysis.plots", "analysis.optimism"),
    "analysis.run": ("analysis.plots",),
    "search.version": (),
    "search.settings": ("trainables.data", "analysis.records", "analysis.run_folder"),
    "search.engine": (
        "search.settings",
        "trainables.messages",
        "analysis.tables",
        "analysis.earlier",
        "analysis.objectives",
        "analysis.run_folder",
    ),
    "search.observers": ("search.engine", "analysis.words"),
    "search.prepare": (
        "search.settings",
        "search.version",
        "trainables.training",
        "analysis.earlier",
        "analysis.run_folder",
    ),
    "search.backends": ("search.observers", "search.prepare", "trainables.trainable"),
    "search.sessions": ("search.backends", "analysis.run", "analysis.report"),
    "search.confirmation": ("search.sessions", "analysis.optimism"),
    "search.delivery": ("search.confirmation", "trainables.bundles"),
    "search.commands": ("search.delivery", "analysis.report"),
    "search.cli": ("search.commands",),
    "search.reference": ("search.cli",),
}
"""Room → rooms right beneath it. It may import these, and all that they may import."""

FORBIDDEN = {
    "spaces": {"torch", "ray"},
    "analysis": {"torch", "ray"},
    "trainables": {"ray"},
    "search.engine": {"torch", "ray"},
}
"""Package or room → packages that no file of it may import."""

KNOWS_RAY = "thaw.trainables.trainable"


SMELL, WALL = 300, 400
"""Lines of a file: above the first it is listed, above the second the test fails."""

PACKAGES = ("spaces", "trainables", "search", "analysis")


class Import(NamedTuple):
    """`name`: the module's full name; `typing`: imported for type checkers alone."""

    name: str
    typing: bool


def imports(tree: ast.AST, typing: bool = False) -> Iterator[Import]:
    """All imports of a file, including those within functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, typing) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (Import(f"{node.module}.{alias.name}", typing) for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            yield from imports(node, True)
        else:
            yield from imports(node, typing)


def parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def modules() -> dict[str, Path]:
    """Module → file, of all rooms."""
    files = (file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py")))
    return {module_name(file): file for file in files}


def module_name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(("thaw", *parts)).removesuffix(".__init__")


@cache
def arrows() -> dict[str, dict[str, bool]]:
    """Module → modules of Thaw that it imports → whether for type checkers alone."""
    known = modules()
    result: dict[str, dict[str, bool]] = {}
    for module, file in known.items():
        targets = result.setdefault(module, {})
        for name, typing in imports(parsed(file)):
            target = name if name in known else name.rpartition(".")[0]
            if target in known and target != module:
                targets[target] = targets.get(target, True) and typing
    return result


def room(module: str) -> str:
    """``thaw.search.engine.state`` → ``search.engine``; any other file on top of ``search/`` → ``search.commands``."""
    _, package, *rest = module.split(".")
    if package == "spaces" or not rest:
        return package
    name = f"{package}.{rest[0]}"
    command = package == "search" and name not in BENEATH and modules()[module].parent == ROOT / "search"
    return "search.commands" if command else name


@cache
def below(name: str) -> set[str]:
    """All rooms that a room may import."""
    return {name}.union(*(below(other) for other in BENEATH[name]))


def upward() -> list[tuple[str, str]]:
    """Arrows between modules that the table of rooms does not have."""
    return [
        (module, target)
        for module, targets in arrows().items()
        for target in targets
        if room(module) in BENEATH and room(target) not in below(room(module))
    ]


def executed() -> dict[str, list[str]]:
    """As `arrows`, without imports for type checkers alone, which cannot make a circle."""
    return {module: [name for name, typing in targets.items() if not typing] for module, targets in arrows().items()}


def circle() -> list[str]:
    """The modules of a circle of imports; empty if there is none."""
    try:
        TopologicalSorter(executed()).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def longest_chain() -> list[str]:
    graph = executed()
    chains: dict[str, list[str]] = {}
    for module in TopologicalSorter(graph).static_order():
        chains[module] = [module, *max((chains[name] for name in graph[module]), key=len, default=[])]
    return max(chains.values(), key=len)


def test_every_file_is_in_a_room() -> None:
    """A package's own ``__init__`` alone stands outside."""
    outside = {module for module in modules() if room(module) not in BENEATH}
    assert outside == {"thaw.trainables", "thaw.search", "thaw.analysis"}
    assert set(BENEATH) == {room(module) for module in modules()} - {"trainables", "search", "analysis"}


def test_imports_go_one_way() -> None:
    assert not [f"{module} ({room(module)}) imports {target} ({room(target)})" for module, target in upward()]


def test_no_circle() -> None:
    assert not circle()


@pytest.mark.parametrize("place", FORBIDDEN)
def test_heavy_packages_stay_where_they_are_needed(place: str) -> None:
    inside = {name: file for name, file in modules().items() if f"{name}.".startswith(f"thaw.{place}.")}
    assert inside
    for module, file in inside.items():
        if module != KNOWS_RAY:
            assert not {name.split(".")[0] for name, _ in imports(parsed(file))} & FORBIDDEN[place], module


def test_no_bare_names() -> None:
    """A module imported as ``search.…`` would be loaded a second time, beside ``thaw.search.…``."""
    places = (*PACKAGES, "thaw", "tests", "benchmarks", "examples")
    for file in (file for place in places for file in (ROOT / place).rglob("*.py")):
        tree = parsed(file)
        names = [name for name, _ in imports(tree)]
        calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args)
        names += [
            str(call.args[0].value)
            for call in calls
            if ast.unparse(call.func).endswith("import_module") and isinstance(call.args[0], ast.Constant)
        ]
        assert not [name for name in names if name.split(".")[0] in PACKAGES], file


def test_tests_mirror_the_rooms() -> None:
    rooms = {(ROOT / place).relative_to(ROOT) for file in modules().values() for place in (file.parent,)}
    for package in PACKAGES:
        for file in (ROOT / "tests" / package).rglob("test_*.py"):
            assert file.parent.relative_to(ROOT / "tests") in rooms, file


def test_files_are_read_in_one_go() -> None:
    long = {module: len(file.read_text(encoding="utf-8").splitlines()) for module, file in modules().items()}
    print(f"\nfiles above {SMELL} lines:", {module: lines for module, lines in long.items() if lines > SMELL} or "none")
    assert max(long.values()) <= WALL, max(long, key=long.__getitem__)


def test_numbers() -> None:
    """Printed, to watch them: ``make structure``."""
    files = Counter(room(module) for module, file in modules().items() if file.name != "__init__.py")
    print("\nfiles a room:", ", ".join(f"{name} {files[name]}" for name in BENEATH if files[name]))
    chain = longest_chain()
    print(f"longest import chain: {len(chain)} modules:", " > ".join(name.removeprefix("thaw.") for name in chain))
    print(f"circles: {1 if circle() else 0}; arrows upwards: {len(upward())}")
    assert len(chain) > 1


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import thaw.spaces, thaw.analysis, thaw.search.cli", ("torch", "ray")),
        ("import thaw.search.engine.state, thaw.search.engine.backend", ("torch", "ray")),
        ("import thaw.search.settings.config, thaw.search.describe_data", ("torch", "ray")),
        ("import thaw.search.best, thaw.search.summary, thaw.analysis.report", ("torch", "ray")),
        # The modules that every worker loads before its first trial.
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
