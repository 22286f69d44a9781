"""One driver per run: a lock on a file in the run folder, which the kernel releases when its process dies."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from thaw.analysis.run_folder import RunFolder
from thaw.spaces import ConfigError


@contextmanager
def driving(folder: RunFolder) -> Iterator[None]:
    """Within this context, only this process drives the run.

    Raises:
        ConfigError: another process drives it, or the folder contains links, which could lead to any file.
    """
    folder.refuse_links()
    # Do not follow a link that is put there now, either.
    descriptor = os.open(folder.lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    with os.fdopen(descriptor, "r+", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise ConfigError(
                f"another process drives this run ({file.read()}); stop it first", "", folder.path
            ) from None
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield
