"""The search: settings, preparation, engine, backends, confirmation, delivery, and the commands.

The package itself can be called: ``thaw.search({...})`` is :func:`thaw.search.python_api.search`.
"""

import sys
from types import ModuleType
from typing import Any


class _Search(ModuleType):
    """``thaw.search`` names this package and the function that users expect under this name."""

    def __call__(self, *settings: Any, **sections: Any) -> Any:
        from thaw.search.python_api import search

        return search(*settings, **sections)


sys.modules[__name__].__class__ = _Search
