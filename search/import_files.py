"""`--import FILE.py`: the user's own networks and data sources. Only this option executes a file."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from thaw.spaces import ConfigError
from thaw.spaces.errors import as_raised

PREFIX = "thaw_imported_"
"""Before the file's name in the module's, so that none is hidden by it."""


def import_files(paths: list[Path]) -> list[Path]:
    """Run files once, in order, as modules. They may import modules next to them, found after all installed ones.

    Returns:
        `paths`, as a callback of an option has to.

    Raises:
        ConfigError: a file is absent, or raises.
    """
    for path in paths:
        _import(path.resolve())
    return paths


def _import(path: Path) -> None:
    if not path.is_file():
        raise ConfigError(f"there is no file {path}; correct the path", "--import")
    if str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    name = PREFIX + path.stem.replace(".", "_")
    known = sys.modules.get(name)
    if known is not None and known.__file__ == str(path):
        return
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path} must be a Python file, ending in .py", "--import")
    # Classes find their module there while they are made.
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ConfigError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise ConfigError(as_raised(error, path), "--import") from error
