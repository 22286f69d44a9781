"""The console command `thaw`, and `python -m thaw`."""

import gc
import os
import sys

FEWER_COLLECTIONS = 50_000
"""New objects before the garbage collector looks for cycles among them, as Python's 700 cost a fifth of the time of
all imports, which make a million objects that stay."""


def main() -> None:
    """Run the command line; the exit status says how it ended (docs/reference.md)."""
    gc.set_threshold(FEWER_COLLECTIONS)
    try:
        from thaw.search.cli import run
    except KeyboardInterrupt:
        print("Interrupted; nothing was started.", file=sys.stderr)
        # 128 + SIGINT. A module named signal may be the user's while the current folder is on the path.
        sys.exit(130)
    status = run()
    # At its end Python would search all that torch and Ray have made for cycles, which takes seconds.
    gc.freeze()
    sys.exit(status)


if __name__ == "__main__":
    # `python -m` has put the current folder first on the path. The user's files there must not stand in for other
    # modules, and once this package is imported, nothing of ours is looked for on the path.
    if not sys.flags.safe_path and sys.path[0] == os.getcwd():
        del sys.path[0]
    main()
