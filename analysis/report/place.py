"""Where a report is written: next to an existing one, which it replaces once it is complete."""

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
"""Distinguishes a report from a file of the user's."""

PAGE = "index.html"

OURS = (PAGE, "plots", "tables", "runs")
"""The contents of a report. The page comes first, so that the folder is recognised as a report from the start."""

UNFINISHED = ".making-"
"""Prefix of the names of folders in which a report is being written."""


@contextmanager
def replaced_report(output: Path) -> Iterator[Path]:
    """A new folder within `output`; its contents replace the report there on exit.

    A process that is killed leaves the old report unchanged, and its unfinished one is removed with the next report. If
    several run at once, the last to finish wins.

    Raises:
        ConfigError: `output` holds other files, or is not writable.
    """
    _check(output)
    try:
        output.mkdir(parents=True, exist_ok=True)
        making = Path(tempfile.mkdtemp(prefix=UNFINISHED, dir=output))
    except OSError as error:
        raise ConfigError(f"cannot be created: {error.strerror}; choose another --output", file=output) from None
    # Its lock shows that it is still being written.
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
        raise ConfigError(
            "holds files that are not a report and is left unchanged; choose another --output", file=output
        )


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
