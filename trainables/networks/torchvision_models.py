"""``torchvision.models``, imported without torch's compiler, which takes longer to import than all of torchvision.

``torchvision.ops.roi_align`` imports one function of the compiler; nobody calls it unless a network detects objects.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

COMPILER = "torch._dynamo"


def _is_compile_supported(device_type: str) -> bool:
    return bool(import_module(f"{COMPILER}.utils").is_compile_supported(device_type))


@contextmanager
def _compiler_on_demand() -> Iterator[None]:
    """Within, the compiler's module holds only the function that torchvision imports, which then loads the real one."""
    package, utils = ModuleType(COMPILER), ModuleType(f"{COMPILER}.utils")
    package.__path__ = []
    utils.__dict__["is_compile_supported"] = _is_compile_supported
    stand_ins = {module.__name__: module for module in (package, utils)}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            del sys.modules[name]


def _import_models() -> ModuleType:
    if COMPILER not in sys.modules:
        try:
            with _compiler_on_demand():
                return import_module("torchvision.models")
        except ImportError:
            # This torchvision needs more of the compiler.
            pass
    return import_module("torchvision.models")


models = _import_models()
