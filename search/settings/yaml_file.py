"""Reading YAML the way people write it: ``1e-5`` is a number, ``020`` is twenty, and a duplicate key is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from thaw.analysis.run_folder import RunFolder
from thaw.spaces import ConfigError

MAX_CHARACTERS = 200_000
MAX_VALUES = 10_000
MAX_DEPTH = 20
MAX_DIGITS = 40
"""Limits of a search file: far above what anyone writes, and low enough to read or reject every file quickly."""


TOO_DEEP = f"values may be nested {MAX_DEPTH} deep; write fewer levels"


class _Loader(yaml.SafeLoader):
    """SafeLoader (builds plain values only, never objects) with YAML 1.2's numbers, unique keys, and bounds."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _expanded(node, {}, MAX_DEPTH)
        return node

    def fetch_flow_collection_start(self, TokenClass: type) -> None:
        # Rejected while reading: time grows with the square of the depth of brackets.
        if self.flow_level >= MAX_DEPTH:
            raise yaml.scanner.ScannerError(None, None, TOO_DEEP, self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > MAX_DIGITS:
            raise yaml.constructor.ConstructorError(
                None, None, f"a number may have {MAX_DIGITS} digits, got {len(node.value)}", node.start_mark
            )
        text = node.value.replace("_", "")
        return int(text) if text.lstrip("+-").isdigit() else int(text, 0)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} appears twice; remove one", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def _expanded(node: yaml.Node, counted: dict[int, int], depth: int) -> int:
    """Number of values below a node with aliases expanded; a few lines of nested aliases can stand for billions.

    Raises:
        ConstructorError: too many values, or nested too deeply, as when an alias is used within its own anchor.
    """
    if depth == 0:
        raise yaml.constructor.ConstructorError(None, None, TOO_DEEP, node.start_mark)
    if id(node) not in counted:
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        below = [] if isinstance(node, yaml.ScalarNode) else parts
        counted[id(node)] = 1 + sum(_expanded(part, counted, depth - 1) for part in below)
    if counted[id(node)] > MAX_VALUES:
        rule = f"a file may hold {MAX_VALUES:,} values, with aliases expanded"
        raise yaml.constructor.ConstructorError(None, None, f"{rule}; write fewer", node.start_mark)
    return counted[id(node)]


_TAG = "tag:yaml.org,2002:"
_SIGNED = list("-+0123456789")
_INT = r"[-+]?(0[xX][0-9a-fA-F_]+|0[bB][01_]+|0o[0-7_]+|\d[\d_]*)"
_FLOAT = r"[-+]?((\d[\d_]*\.[\d_]*|\.\d[\d_]*)([eE][-+]?\d+)?|\d[\d_]*[eE][-+]?\d+|\.(inf|Inf|INF))|\.(nan|NaN|NAN)"
# YAML 1.1 also reads 1:30 as 90, 020 as 16, 2026-01-02 as a date and = as a value of its own. Nobody means that here.
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag.removeprefix(_TAG) in ("bool", "null", "merge")]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAG}int", re.compile(f"^(?:{_INT})$", re.ASCII), _SIGNED)
_Loader.add_implicit_resolver(f"{_TAG}float", re.compile(f"^(?:{_FLOAT})$", re.ASCII), [*_SIGNED, "."])
_Loader.add_constructor(f"{_TAG}int", _Loader.construct_yaml_int)


class _Dumper(yaml.SafeDumper):
    """SafeDumper, which puts text into quotes that this module or YAML 1.1 would read as anything else."""


for _first, _known in _Loader.yaml_implicit_resolvers.items():
    for _tag, _pattern in _known:
        _Dumper.add_implicit_resolver(_tag, _pattern, [_first])


def yaml_text(value: Any, *, one_line: bool = False) -> str:
    """A value as YAML, from which :func:`parse_yaml` reads an equal one."""
    layout: dict[str, Any] = {"default_flow_style": True, "width": 10**6} if one_line else {}
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, **layout)


_REMEDIES = {
    "found character '\\t'": "indent with blanks instead of tabs",
    "found character": "put the value into quotes",
    "found unknown escape": "use single quotes, in which a backslash stands for itself",
    "mapping values are not allowed": "put a value that holds `: ` into quotes, and indent keys of one section alike",
    "but found another document": "remove the line `---`: a search file is one document",
    "expected <block end>": "indent keys of one section alike, and close all quotes and brackets",
    "expected ',' or": "close the bracket, or separate its parts by commas",
    "found unexpected end of stream": "close the quote",
    "could not find expected ':'": "write `key: value`, with a blank after the colon",
    "found undefined alias": "write an anchor (`&name`) before its alias (`*name`)",
}
"""How PyYAML describes a fault → what its author should do."""


def parse_yaml(text: str, source: str | Path) -> Any:
    """The value of a YAML text.

    Raises:
        ConfigError: names `source`, line and problem.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        remedy = next((f"; {fix}" for fault, fix in _REMEDIES.items() if str(error.problem).startswith(fault)), "")
        raise ConfigError(f"not valid YAML: {error.problem}{remedy}", where, source) from None
    except Exception as error:  # text after a tag, as in `!!bool x`, may raise any error
        raise ConfigError(f"not valid YAML: {error or type(error).__name__}", file=source) from None


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        ConfigError: the file is absent, unreadable, or not a mapping in YAML as UTF-8 text.
    """
    if (run := RunFolder(path)).events_file.is_file():
        raise ConfigError(
            f"is a run folder, whose search file is {run.search_file}; `thaw resume {path}` continues that run",
            file=path,
        )
    if path.is_dir():
        raise ConfigError(
            f"is a folder, not a search file; `thaw init {path}` writes one for the photos in it", file=path
        )
    try:
        with path.open(encoding="utf-8-sig") as file:
            text = file.read(MAX_CHARACTERS + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(f"must be a readable UTF-8 file: {error}", file=path) from None
    if len(text) > MAX_CHARACTERS:
        raise ConfigError(f"must have at most {MAX_CHARACTERS:,} characters; is this a search file?", file=path)
    value = parse_yaml(text, path)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        got = "nothing" if value is None else "a list" if isinstance(value, list) else "other text"
        got = "a key that is not text" if isinstance(value, dict) else got
        raise ConfigError(f"must hold `key: value` lines with names as keys, got {got}; see examples/", file=path)
    return value
