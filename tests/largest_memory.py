"""Runs `thaw` and prints its peak memory, in bytes, on standard error."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from thaw.search.cli import run

if __name__ == "__main__":
    status = run()
    # Not `getrusage`, whose peak is inherited from the parent process. Linux counts in kilobytes.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert peak is not None
    print(int(peak[1]) * 1024, file=sys.stderr)
    sys.exit(status)
