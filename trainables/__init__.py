"""One trial: data, networks, training; and the model that comes out of it.

``from trainables import load_bundle`` uses an exported model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from trainables.bundle import Bundle, load_bundle

__all__ = ["Bundle", "load_bundle"]


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: other modules of this package need no torch."""
    if name in __all__:
        from trainables import bundle

        return getattr(bundle, name)
    raise AttributeError(f"module 'trainables' has no attribute {name!r}")
