"""The report in the user's browser while the search runs, drawn by a separate process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import thaw
from thaw.analysis.records import TrialRecord
from thaw.analysis.run_folder import RunFolder
from thaw.search.engine.observers import Observer


class OpenPage(Observer):
    """Starts ``thaw report RUN --watch --open``, which ends by itself once the search is over.

    Args:
        folder: of the run.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder

    def open(self, records: Mapping[int, TrialRecord]) -> None:
        # A clone that is nowhere installed is found from the folder that holds it.
        clone = str(Path(thaw.__file__).parent.parent)
        path = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), clone]))
        subprocess.Popen(
            ["nice", sys.executable, "-P", "-m", "thaw", "report", str(self.folder.path), "--watch", "--open"],
            env={**os.environ, "PYTHONPATH": path},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
