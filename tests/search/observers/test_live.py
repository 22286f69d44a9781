"""The live view of a search, on terminals of several widths, and its lines elsewhere."""

from __future__ import annotations

import time
from io import StringIO

import pytest
from rich.console import Console

from tests.synthetic_runs import synthetic_run
from thaw.analysis.run import Run
from thaw.search.observers.live import TRIALS, Clock, LiveView
from thaw.search.observers.progress import Progress
from thaw.spaces import TrialConfig
from thaw.spaces.short_forms import head, network_names


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """30 trials, of which 2 are running and some have failed."""
    return synthetic_run(tmp_path_factory.mktemp("live") / "run", 30, running=2, failures=0.2)


def view_of(run: Run, clock: Clock | None = None, note: str = "") -> LiveView:
    view = LiveView(run.space, run.metric, 40, TRIALS, clock or Clock(time.time()), notes=(lambda: note,))
    view.begin(run.records)
    return view


def shown(view: LiveView, width: int) -> list[str]:
    out = StringIO()
    Console(file=out, width=width, height=30, force_terminal=True, no_color=True, color_system=None).print(view)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_the_view_fits_80_columns_with_readable_values(run: Run) -> None:
    lines = shown(view_of(run, note="trials at rungs  epoch 1: 12"), 80)
    assert max(map(len, lines)) <= 80 and not any("…" in line for line in lines)
    assert lines[0].startswith("28 of 40 trials done (2 running, ")
    best = run.best
    assert best is not None and f"(trial {best.number})" in lines[2]
    assert lines[3] == "trials at rungs  epoch 1: 12"
    heads = next(line for line in lines if line.startswith("trial "))
    assert heads.split()[:5] == ["trial", "epoch", "value", "best", "seconds"]
    assert {"network", "depth", "lr", "wd", "dropout"} <= set(heads.split())
    rows = [line.split() for line in lines[lines.index(heads) + 1 :]]
    running = [number for number, record in run.records.items() if record.status == "running"]
    assert [int(row[0]) for row in rows[:2]] == running and int(rows[2][0]) == best.number
    values = best.values(run.metric)
    assert rows[2][2:4] == [f"{values[max(values)]:.4f}", f"{max(values.values()):.4f}"]


def test_a_wide_terminal_shows_whole_names_and_all_searched_hyperparameters(run: Run) -> None:
    heads = next(line for line in shown(view_of(run), 140) if line.startswith("trial "))
    assert heads.split()[5:] == [*run.space.parameters, "status"]


def test_a_narrow_terminal_keeps_values_whole(run: Run) -> None:
    lines = shown(view_of(run), 40)
    assert max(map(len, lines)) <= 40
    assert next(line for line in lines if line.startswith("trial ")).split()[:5] == [
        *("trial", "epoch", "value", "best", "seconds")
    ]


def test_the_clock_is_the_users(run: Run) -> None:
    now = time.time()
    view = view_of(run, Clock(began=now - 217, session=now - 100))
    assert "3 min 37 s" in shown(view, 80)[1] and "left" not in shown(view, 80)[1], "nothing has ended in this session"
    view._before = view.done - 10
    assert "about 2 min left" in shown(view, 80)[1], "ten ended in 100 s, twelve are left"
    hurried = view_of(run, Clock(began=now, deadline=time.monotonic() + 30.4, session=now - 100))
    assert "about 30 s left" in shown(hurried, 80)[1], "the time budget ends it"


def test_failures_stay_above_the_view_and_elsewhere_each_event_is_a_line(run: Run) -> None:
    failed = next(record for record in run.records.values() if record.status == "failed" and record.epochs)
    for terminal in (True, False):
        out = StringIO()
        progress = Progress(Console(file=out, width=80, force_terminal=terminal), view_of(run))
        progress.open(run.records)
        progress.epoch(failed, failed.epochs[1])
        progress.ended(failed)
        progress.close()
        assert f"trial {failed.number}  failed: {failed.error}" in out.getvalue()
        assert (f"trial {failed.number}  epoch 1/" in out.getvalue()) != terminal


def test_short_forms_are_different_and_short() -> None:
    assert len({head(name) for name in TrialConfig.model_fields}) == len(TrialConfig.model_fields)
    assert max(len(head(name)) for name in TrialConfig.model_fields) <= 9
    names = ["efficientnet_lite0", "mobilenetv4_medium", "timm:vit_small_patch14_dinov2.lvd142m", "resnet50"]
    short = network_names(names)
    assert short["efficientnet_lite0"] == "effnet_lite0" and short["resnet50"] == "resnet50"
    assert max(map(len, short.values())) <= 16
    alike = [f"timm:vit_small_patch{size}_a_dinov2.lvd142m" for size in (14, 16)]
    assert network_names(alike) == {name: name for name in alike}, "names that would become equal stay whole"
