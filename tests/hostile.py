"""A run whose labels, errors and folder have names that try to break out of a page."""

from __future__ import annotations

import json
from pathlib import Path

from tests.synthetic_runs import synthetic_run
from thaw.analysis.run import Run, load_run

HOSTILE = ["<script>alert(1)</script>", "</script><img src=x onerror=alert(1)>", "a & b \"quoted\" 'so'", "$x_{$"]


def hostile_run(folder: Path, trials: int) -> Run:
    """Write such a run, with failures, into `folder`."""
    run = synthetic_run(folder / "<b>run & more", trials, labels=len(HOSTILE), failures=0.1)
    provenance = run.folder.provenance()
    provenance["data"]["classes"] = HOSTILE
    run.folder.provenance_file.write_text(json.dumps(provenance))
    text = run.folder.events_file.read_text()
    run.folder.events_file.write_text(text.replace("the training loss became nan", HOSTILE[1]))
    return load_run(run.folder.path)
