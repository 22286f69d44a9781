"""Many trials: the search, and the command line.

``from search import load_config, run_search`` runs a search from Python, ``resume_search`` goes on with one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from search.config import SearchConfig, load_config
    from search.resume import resume_search
    from search.tuner import run_search

__all__ = ["SearchConfig", "load_config", "resume_search", "run_search"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: the command line starts without torch and Ray."""
    if name in ("SearchConfig", "load_config"):
        from search import config

        return getattr(config, name)
    if name == "run_search":
        from search.tuner import run_search

        return run_search
    if name == "resume_search":
        from search.resume import resume_search

        return resume_search
    raise AttributeError(f"module 'search' has no attribute {name!r}")
