"""What a command does before there are results to show: reported from the first second, with a bar if it takes long."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

EVERY = 10.0
"""Seconds between two lines of one stage, outside a terminal."""

Step = Callable[[int, int], None]
"""Called with (done, total) from time to time."""


def say(console: Console, text: str) -> None:
    """Print a sentence: wrapped between words on a terminal, elsewhere in one line, which can be searched."""
    console.print(text, markup=False, highlight=False, soft_wrap=not console.is_terminal)


class Stages:
    """Reports the current stage of the preparations.

    On a terminal, a moving line that disappears when the stage ends; elsewhere one line per stage, and for a long stage
    another every few seconds.

    ```python
    with Stages(console)("reading images") as step:
        store = source.open(step)
    ```

    Args:
        console: where to print; nowhere by default.
    """

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(quiet=True)

    @contextmanager
    def __call__(self, what: str) -> Iterator[Step]:
        """Within this context, `what` is done, such as ``reading labels``."""
        if not self.console.is_terminal:
            say(self.console, f"{what} …")
            yield self._lines(what)
            return
        columns = (SpinnerColumn(), TextColumn("{task.description}"))
        with Progress(*columns, TimeElapsedColumn(), console=self.console, transient=True) as progress:
            task = progress.add_task(what, total=None)

            def step(done: int, total: int) -> None:
                if len(progress.columns) == 3:
                    progress.columns = (*columns, BarColumn(20), MofNCompleteColumn(), TimeElapsedColumn())
                progress.update(task, completed=done, total=total)

            yield step

    def _lines(self, what: str) -> Step:
        last = time.monotonic()

        def step(done: int, total: int) -> None:
            nonlocal last
            if time.monotonic() - last >= EVERY and done < total:
                last = time.monotonic()
                say(self.console, f"{what} … {done:,} of {total:,}")

        return step


def loading(console: Console) -> AbstractContextManager[Step]:
    """For imports that take seconds."""
    return Stages(console)("loading PyTorch")


def aside(what: str) -> AbstractContextManager[Step]:
    """For a command with results alone on standard output: says what it does on a terminal, and nothing elsewhere."""
    return Stages(Console(stderr=True, quiet=not sys.stderr.isatty()))(what)
