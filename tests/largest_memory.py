"""Runs `thaw` and says on standard error how much memory it held at most, in bytes."""

from __future__ import annotations

import resource
import sys

from search.cli import run

if __name__ == "__main__":
    status = run()
    # Linux counts in kilobytes.
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024, file=sys.stderr)
    sys.exit(status)
