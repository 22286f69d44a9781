"""Reads label files in YAML as lists, mappings and text."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from thaw.spaces.errors import ConfigError

MAX_DEPTH = 20
"""Deepest nesting of brackets; time grows with its square."""


def yaml_content(text: str, path: Path, key: str) -> Any:
    """The content of a YAML file, all scalars as text: ``no`` and ``010`` stay as written.

    Args:
        key: key of the search file, for errors.

    Raises:
        ConfigError: it is not YAML, a key appears twice, or aliases are nested.
    """
    try:
        return yaml.load(text, _TextLoader)
    except yaml.MarkedYAMLError as error:
        where = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"{path}: cannot be read as YAML{where}: {error.problem}", key=key) from None
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        raise ConfigError(f"{path}: is not YAML ({error}); repair it", key=key) from None


class _TextLoader(yaml.BaseLoader):
    """BaseLoader builds lists, mappings and text, never objects; this one also bounds nesting and keeps keys unique."""

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None:
            _refuse_nested_aliases(node, set())
        return node

    def fetch_flow_collection_start(self, TokenClass: type) -> None:
        if self.flow_level >= MAX_DEPTH:
            message = f"values may be nested {MAX_DEPTH} deep"
            raise yaml.scanner.ScannerError(None, None, message, self.get_mark())
        super().fetch_flow_collection_start(TokenClass)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        for name, count in keys.items():
            if count > 1:
                message = f"the key {name!r} appears twice; give it one entry"
                raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
        return super().construct_mapping(node, deep)


def _refuse_nested_aliases(node: yaml.Node, seen: set[int]) -> None:
    """Aliases may stand for flat lists, which programs write so; a few lines of nested ones can stand for billions.

    Raises:
        ConstructorError: what an alias stands for holds more than text.
    """
    if isinstance(node, yaml.ScalarNode):
        return
    parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
    if id(node) in seen:
        if not all(isinstance(part, yaml.ScalarNode) for part in parts):
            message = "an alias stands for nested values; write them out"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
        return
    seen.add(id(node))
    for part in parts:
        _refuse_nested_aliases(part, seen)
