"""Sends the user's own code to workers, which have neither the user's folder nor the imported files."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from ray import cloudpickle

import thaw
from thaw.trainables.context import RunContext

INSTALLED = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")]
"""Workers import code below these folders as usual."""


def send_by_value(context: RunContext) -> None:
    """Pickle the code of the user's networks and data source by value, with the neighbouring modules that it uses.

    Pickle stores functions and classes by name, and a worker imports them by that name; but those of a script, or of a
    file given by ``--import``, are not installed anywhere.
    """
    for module in own_modules(context):
        cloudpickle.register_pickle_by_value(module)


def own_modules(context: RunContext) -> list[ModuleType]:
    """Modules in the folders of the user's code, and below them."""
    folders = {file.parent for name in _names(context) if (file := _file(sys.modules.get(name))) and _is_own(file)}
    modules = [module for name, module in list(sys.modules.items()) if name != "__main__"]
    return [m for m in modules if (file := _file(m)) and _is_own(file) and not folders.isdisjoint(file.parents)]


def _names(context: RunContext) -> Iterator[str]:
    if context.images.source is not None:
        yield type(context.images.source).__module__
    for row in context.networks:
        assert row.code is not None
        yield row.code.module


def _file(module: ModuleType | None) -> Path | None:
    file = getattr(module, "__file__", None)
    return Path(file).resolve() if isinstance(file, str) else None


def _is_own(file: Path) -> bool:
    ours = Path(thaw.__file__).resolve().parent.parent
    rooms = [ours / name for name in ("thaw", "spaces", "trainables", "search", "analysis")]
    return not any(folder in file.parents for folder in (*INSTALLED, *rooms))
