"""A new run folder, which does not stay if nothing runs in it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from thaw.analysis.run_folder import RunFolder
from thaw.spaces import ConfigError


@contextmanager
def new_folder(folder: RunFolder) -> Iterator[None]:
    """Create a run folder, and remove it if the context fails before a trial has started.

    That is the case if the backend does not start, or Ctrl-C arrives before the session. Other failures leave their
    traces.

    Raises:
        ConfigError: it exists already, or cannot be created.
    """
    created = [place for place in (folder.path, *folder.path.parents) if not place.exists()]
    folder.create()
    try:
        yield
    except (ConfigError, KeyboardInterrupt):
        started = folder.events_file.is_file() and any(event["event"] == "trial_started" for event in folder.events())
        if not started:
            shutil.rmtree(folder.path, ignore_errors=True)
            for parent in created[1:]:
                with suppress(OSError):  # by now, it holds something else
                    parent.rmdir()
        raise
