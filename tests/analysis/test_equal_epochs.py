"""Comparisons at equal epochs: searches with a known outcome that early stopping hides."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.plots.test_plot_numbers import write_run
from thaw.analysis.equal_epochs import standings
from thaw.analysis.plots import PLOTS
from thaw.analysis.plots.trials import finished_trials
from thaw.analysis.report.answer import answer
from thaw.analysis.run import Run

HEAD, TUNED = [0.50, 0.52, 0.53], [0.30, 0.60, 0.80]
"""The curves of every network here: after one epoch the frozen one is ahead, at the end the fine-tuned one is."""


def trial(depth: int, values: list[float], status: str = "completed", name: str = "resnet50") -> tuple[Any, ...]:
    return name, depth, 1e-3 * (1 + depth / 10), status, values, 1.0, "a", 100


def hidden(folder: Path) -> Run:
    """Stopped as ASHA does it: all fine-tuned trials are gone after one epoch."""
    tuned = [trial(2, [value], "pruned") for value in (0.30, 0.28, 0.25)]
    return write_run(folder, [trial(5, HEAD), *tuned])


def whole(folder: Path) -> Run:
    return write_run(folder, [trial(5, HEAD), *(trial(2, TUNED) for _ in range(3))])


def finding(name: str, run: Run) -> str:
    return PLOTS[name].finding(PLOTS[name].compute(run))


def test_results_of_stopped_trials_are_unknown(tmp_path: Path) -> None:
    run = hidden(tmp_path / "run")
    stopped = "stopped by epoch 1 in 3 of 3 trials"
    assert finding("frozen_tuned", run) == (
        "Whether fine-tuning beats the frozen network is unknown, because trials were stopped: "
        f"resnet50 (fine-tuned {stopped})."
    )
    assert finding("freeze_depth", run) == (
        "The best observed val_map is 0.53, for resnet50 at freeze depth 5 (1 trial); the true best is unknown, "
        f"because trials were stopped that could have done better: resnet50 at depth 2 ({stopped})."
    )
    assert finding("depth_curves", run) == (
        "The best trials of resnet50 reach val_map 0.53 with 5 stages frozen; what it would reach at depth 2 "
        f"({stopped}) is unknown."
    )
    assert "cannot be compared; the best learning rate is unknown at freeze depth 2" in finding(
        "depth_learning_rate", run
    )
    assert math.isnan(PLOTS["frozen_tuned"].compute(run).rows["gain"].item())
    text = " ".join([*answer(run).facts, *answer(run).caveats])
    assert "freeze depth" not in text.lower() or "unknown" in text


def test_results_of_trials_trained_to_the_end_are_reported(tmp_path: Path) -> None:
    run = whole(tmp_path / "run")
    assert finding("frozen_tuned", run).startswith("Fine-tuning beats the frozen network for 1 of 1 architectures")
    assert finding("freeze_depth", run) == (
        "resnet50 at freeze depth 2 is best with val_map 0.8 (3 trials); the next best depth of that network, 5, "
        "comes within 0.27."
    )


def test_one_poor_finished_trial_says_nothing_about_stopped_ones(tmp_path: Path) -> None:
    """Trial 1 is fine-tuned badly and gains 0.3 from epoch 1 on: the stopped one, at 0.3, may reach 0.6."""
    trials = [trial(5, HEAD), trial(2, [0.10, 0.30, 0.40]), trial(2, [0.30], "pruned")]
    run = write_run(tmp_path / "run", trials)
    assert "unknown" in finding("frozen_tuned", run) and "unknown" in finding("freeze_depth", run)
    (frozen, tuned) = standings(run, finished_trials(run), ["freeze_depth"])
    assert frozen.settled and (tuned.best, tuned.could) == (0.40, pytest.approx(0.60))
    # With less to gain it is out of the question.
    calm = write_run(tmp_path / "calm", [trial(5, HEAD), trial(2, [0.30, 0.32, 0.35]), trial(2, [0.30], "pruned")])
    assert finding("frozen_tuned", calm).startswith("Fine-tuning beats the frozen network for 0 of 1 architectures")


def test_a_trial_that_was_ahead_says_nothing_about_those_that_started_lower(tmp_path: Path) -> None:
    """Of photos: the head that looked best after one epoch had a high learning rate and hardly gained from there on."""
    quick, slow = [0.21, 0.22, 0.22], [0.16, 0.24, 0.28]
    tuned = trial(2, [0.20, 0.25, 0.27])
    hidden = write_run(tmp_path / "hidden", [trial(5, quick), trial(5, slow[:1], "pruned"), tuned])
    assert "unknown" in finding("frozen_tuned", hidden) and "unknown" in finding("freeze_depth", hidden)
    known = write_run(tmp_path / "known", [trial(5, quick), trial(5, slow), tuned])
    assert finding("frozen_tuned", known).startswith("Fine-tuning beats the frozen network for 0 of 1 architectures")


def test_a_stopped_trial_that_is_ahead_already_is_ahead(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [trial(5, HEAD), trial(2, [0.50, 0.70], "pruned")])
    assert finding("frozen_tuned", run).startswith("Fine-tuning beats the frozen network for 1 of 1 architectures")


def test_trials_of_different_length_are_compared_after_equally_many_epochs(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [trial(5, HEAD), trial(2, TUNED)])
    run.records[0].config["epochs"] = 3
    run.records[1].config["epochs"] = 2
    assert [(place.key, place.best) for place in standings(run, finished_trials(run), ["freeze_depth"])] == [
        ((2,), 0.60),
        ((5,), 0.52),
    ]


def test_a_loss_is_compared_in_the_opposite_direction(tmp_path: Path) -> None:
    trials = [trial(5, HEAD), *(trial(2, [value], "pruned") for value in (0.30, 0.28))]
    run = write_run(tmp_path / "run", trials, search={"metric": "val_loss"})
    assert "unknown" in finding("frozen_tuned", run)
    run = write_run(tmp_path / "whole", [trial(5, HEAD), trial(2, TUNED)], search={"metric": "val_loss"})
    assert "for 1 of 1" in finding("frozen_tuned", run)


def test_a_network_that_was_always_stopped_is_not_called_fast(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [trial(5, HEAD), trial(2, [0.1], "pruned", "mobilenet_v2")])
    text = finding("cost_to_quality", run)
    assert text == (
        "Best val_map of one trial and its time by itself: resnet50 0.53 in 3 s; unknown for mobilenet_v2 "
        "(stopped by epoch 1 in 1 of 1 trial)."
    )


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_of_stopped_trials_are_drawn(tmp_path: Path, theme: str) -> None:
    run = hidden(tmp_path / "run")
    for name in (
        "freeze_depth",
        "depth_curves",
        "depth_learning_rate",
        "frozen_tuned",
        "pareto",
        "parallel_coordinates",
    ):
        assert run.plot(name, theme).axes
