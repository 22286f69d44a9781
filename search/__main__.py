"""The console command `thaw`, and `python -m search`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

SIBLINGS = ("spaces", "trainables", "analysis")


def shadowed(parent: Path) -> str:
    """A sentence about the first sibling package that comes from elsewhere than `parent`; empty if none does.

    Thaw's packages have common names; another distribution, or a folder of the user, may stand before them on
    ``sys.path``.
    """
    for name in SIBLINGS:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).parent.parent if spec and spec.origin else None
        if found is None or found.resolve() != parent.resolve():
            place = f"{found / name}" if found else "a place without it"
            return (
                f"the package {name!r} of Thaw is hidden by {place}; start `thaw` in another folder, "
                f"or install thaw-tune in an environment without that package"
            )
    return ""


def main() -> None:
    """Run the command line; the exit status says how it went (see the README)."""
    problem = shadowed(Path(__file__).parent.parent)
    if problem:
        print(f"error: {problem}", file=sys.stderr)
        sys.exit(2)
    from search.cli import run

    sys.exit(run())


if __name__ == "__main__":
    main()
