"""The summary at the end of a search."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from tests.synthetic_runs import synthetic_run
from thaw.search.summary import print_summary


@pytest.mark.parametrize(("failures", "status"), [(1.0, 1), (0.0, 0)])
def test_commands_for_a_finished_trial_are_offered_only_if_there_is_one(
    tmp_path: Path, failures: float, status: int
) -> None:
    run, out = synthetic_run(tmp_path / "run", 4, failures=failures), StringIO()
    assert print_summary(run, Console(file=out, width=200)) == status
    for command in ("best", "export", "confirm"):
        assert (f"thaw {command} {tmp_path / 'run'}" in out.getvalue()) == (run.best is not None), command
    assert f"thaw report {tmp_path / 'run'}" in out.getvalue()
