"""Where a report is made: beside the one that is there, whose place it takes once it is whole."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thaw.spaces import ConfigError
from thaw.spaces.locks import locked, locked_if_free

MARK = '<meta name="generator" content="Thaw">'
"""How a report is told from a file of the user's."""

PAGE = "index.html"

OURS = (PAGE, "plots", "tables", "runs")
"""What a report consists of. The page comes first: with it the folder is known as a report's from the first moment."""

UNFINISHED = ".making-"
"""Begins the names of folders in which a report is being made."""


@contextmanager
def taking_the_place_of(output: Path) -> Iterator[Path]:
    """A new folder within `output`; what it holds afterwards replaces the report there.

    A process that is killed leaves the old report as it was, and what it had made goes with the next one. Of several
    at once the last to end wins.

    Raises:
        ConfigError: `output` holds something else, or cannot be written to.
    """
    _check(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=output))
    except OSError as error:
        raise ConfigError(f"cannot be made: {error.strerror}; choose another --output", file=output) from None
    # Its lock says that it is still being made.
    with locked(making):
        try:
            yield making
            with locked(output):
                _swap(making, output)
        finally:
            shutil.rmtree(making, ignore_errors=True)


def _check(output: Path) -> None:
    page = output / PAGE
    if not os.path.lexists(output):
        return
    if output.is_dir() and all(path.name.startswith(UNFINISHED) for path in output.iterdir()):
        return
    if not page.is_file() or MARK.encode() not in page.read_bytes()[:2000]:
        raise ConfigError("holds files that are no report and is left alone; choose another --output", file=output)


def _swap(making: Path, output: Path) -> None:
    old = making / "old"
    old.mkdir()
    for name in OURS:
        if (making / name).exists() and name == PAGE:
            os.replace(making / name, output / name)
            continue
        if os.path.lexists(output / name):
            os.rename(output / name, old / name)
        if (making / name).exists():
            os.rename(making / name, output / name)
    for other in output.glob(f"{UNFINISHED}*"):
        if other == making:
            continue
        with locked_if_free(other) as abandoned:
            if abandoned:
                shutil.rmtree(other, ignore_errors=True)
