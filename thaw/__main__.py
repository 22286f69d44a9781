"""The console command `thaw`, and `python -m thaw`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line; the exit status says how it went (see the README)."""
    from thaw.search.cli import run

    sys.exit(run())


if __name__ == "__main__":
    main()
