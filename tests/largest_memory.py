"""Runs `thaw` and says on standard error how much memory it held at most, in bytes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from thaw.search.cli import run

if __name__ == "__main__":
    status = run()
    # Not `getrusage`, whose figure begins with that of the process which started this one. Linux counts in kilobytes.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    assert peak is not None
    print(int(peak[1]) * 1024, file=sys.stderr)
    sys.exit(status)
