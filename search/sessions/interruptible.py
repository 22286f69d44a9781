"""Ctrl-C while a command prepares: one line says what happened to the run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from thaw.search.engine.interruption import Interrupted
from thaw.search.prepare.stages import say


@contextmanager
def interruptible(console: Console, run: Path | None = None, command: str = "") -> Iterator[None]:
    """A context in which Ctrl-C prints one line: that nothing was started, or how to continue.

    Args:
        console: where to print.
        run: the run folder, which may not exist.
        command: continues what is in it.

    Raises:
        Interrupted: instead of KeyboardInterrupt.
    """
    try:
        yield
    except Interrupted:
        raise
    except KeyboardInterrupt:
        from thaw.analysis.run_folder import RunFolder

        there = run is not None and RunFolder(run).events_file.is_file()
        say(console, f"Interrupted. Continue with: {command}" if there else "Interrupted; nothing was started.")
        raise Interrupted from None
