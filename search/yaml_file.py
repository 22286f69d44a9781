"""Reading YAML the way people write it: ``1e-5`` is a number, and a key that stands twice is an error."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from spaces import ConfigError


class _Loader(yaml.SafeLoader):
    """SafeLoader (builds plain values only, never objects) with YAML 1.2's numbers and unique keys."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key.value!r} stands twice; remove one", key.start_mark
                )
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?\d+(?:\.\d*)?[eE][-+]?\d+$"), list("-+0123456789")
)


def parse_yaml(text: str, source: str | Path) -> Any:
    """The value of a YAML text.

    Raises:
        ConfigError: naming `source`, line and problem.
    """
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        where = f"line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ConfigError(f"not valid YAML: {error.problem}", where, source) from None
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"not valid YAML: {error}", file=source) from None


def read_mapping(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        ConfigError: the file is absent, unreadable, no UTF-8 text, no YAML, or no mapping.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"must be a readable UTF-8 file: {error}", file=path) from None
    value = parse_yaml(text, path)
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ConfigError("must hold `key: value` lines with names as keys; see examples/", file=path)
    return value
