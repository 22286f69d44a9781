"""The contract of every plot in the table, on runs of 3, 300 and 5,000 trials."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D
from matplotlib.text import Text

from tests.synthetic_runs import SPACE, synthetic_run
from thaw.analysis.plots import DARK, GROUPS, LIGHT, PLOTS, NotEnough, Theme
from thaw.analysis.plots.fates import FATES
from thaw.analysis.plots.layout import beyond_the_edge, collisions, legends_over_data, legible, words
from thaw.analysis.plots.theme import SMALL
from thaw.analysis.report.pictures import untitled
from thaw.analysis.run import Run
from thaw.spaces import ConfigError

SIZES = (3, 300, 5000)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Run]:
    folder = tmp_path_factory.mktemp("runs")
    return {size: synthetic_run(folder / f"run-{size}", size, failures=0.05 * (size > 3)) for size in SIZES}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", PLOTS)
def test_plot(name: str, size: int, runs: dict[int, Run]) -> None:
    plot = PLOTS[name]
    assert plot.group in GROUPS and plot.question.endswith("?")
    try:
        data = plot.compute(runs[size])
    except NotEnough as reason:
        assert size == 3 and str(reason), reason
        return
    finding = plot.finding(data)
    assert finding.endswith(".") and "nan" not in finding and len(finding) < 400, finding
    assert len(plot.table(data)) > 0
    if plot.interactive is not None:
        assert len(json.dumps(plot.interactive(data), allow_nan=False)) < 1_000_000
    figure = plot.figure(data, LIGHT if size == 3 else DARK)
    assert figure.get_suptitle()
    drawn = words(figure)
    assert not collisions(drawn)
    assert not beyond_the_edge(figure, drawn)
    assert not legends_over_data(figure)
    if size == max(SIZES):
        narrow = untitled(plot, data, LIGHT.narrow)
        assert legible(narrow) or legible(narrow), "on a phone"
        texts = [text for text in narrow.findobj(Text) if isinstance(text, Text) and text.get_text()]
        assert min(text.get_fontsize() for text in texts) >= SMALL
    for axes in figure.axes:
        assert not axes.axison or axes.get_xlabel() or axes.get_ylabel(), "an axis without a title"


@pytest.mark.parametrize("name", PLOTS)
def test_a_run_without_any_epoch_is_not_enough(name: str, tmp_path: Path) -> None:
    failed = synthetic_run(tmp_path / "failed", 2, failures=2.0)
    assert set(failed.trials["status"]) == {"failed"} and failed.history.empty
    try:
        PLOTS[name].compute(failed)
    except NotEnough as reason:
        assert str(reason)[0].islower() and not str(reason).endswith("."), "a part of a sentence of the report"
    else:
        assert PLOTS[name].group == "labels", "only the data set itself can be shown"


@pytest.mark.parametrize("name", PLOTS)
@pytest.mark.parametrize("trials", [1, 4])
def test_a_run_that_continues(name: str, trials: int, tmp_path: Path) -> None:
    run = synthetic_run(tmp_path / "run", trials, failures=0.0, running=max(1, trials // 2))
    assert "running" in set(run.trials["status"])
    try:
        data = PLOTS[name].compute(run)
    except NotEnough:
        return
    assert PLOTS[name].finding(data) and not collisions(words(PLOTS[name].figure(data)))


def test_run_plot_draws_and_names_what_it_does_not_know(runs: dict[int, Run]) -> None:
    figure = runs[3].plot("learning_curves", theme="dark")
    assert figure.get_facecolor()[:3] == pytest.approx(to_rgb(DARK.background))
    assert figure._repr_png_().startswith(b"\x89PNG")  # type: ignore[attr-defined]
    with pytest.raises(ConfigError, match="unknown plot 'freezedepth'; did you mean freeze_depth"):
        runs[3].plot("freezedepth")
    with pytest.raises(ConfigError, match="unknown theme 'black'"):
        runs[3].plot("freeze_depth", theme="black")


# Matrices of Machado, Oliveira and Fernandes (2009), severity 1.0, for linear RGB.
BLINDNESS = {
    "none": np.eye(3),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritanopia": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


def linear(colour: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb.clip(0, 1)
    t = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(t > 216 / 24389, np.cbrt(t), (24389 / 27 * t + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
@pytest.mark.parametrize("blindness", BLINDNESS)
def test_categories_differ_for_colour_blind_eyes(theme: Theme, blindness: str) -> None:
    seen = [lab(BLINDNESS[blindness] @ linear(colour)) for colour in (*theme.cycle, theme.muted)]
    assert min(np.linalg.norm(a - b) for a, b in combinations(seen, 2)) > 10


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=lambda theme: theme.name)
def test_everything_contrasts_with_the_background(theme: Theme) -> None:
    def contrast(colour: str) -> float:
        weights = np.array([0.2126, 0.7152, 0.0722])
        pair = sorted(float(weights @ linear(c)) + 0.05 for c in (colour, theme.background))
        return pair[1] / pair[0]

    assert contrast(theme.text) > 7
    assert min(contrast(colour) for colour in (*theme.cycle, theme.muted)) > 3


def test_fates_differ_by_marker_too() -> None:
    assert len({fate.marker for fate in FATES.values()}) == len(FATES)
    assert pd.Series([fate.words for fate in FATES.values()]).is_unique


def test_an_architecture_has_the_same_colour_in_all_plots_of_a_run(runs: dict[int, Run]) -> None:
    """Also where most trials are not of the best architecture."""
    run = runs[300]
    shown: dict[str, dict[str, set[str]]] = {}
    for name in ("importance", "pareto", "cost_to_quality"):
        [legend] = PLOTS[name].figure(PLOTS[name].compute(run), LIGHT).legends
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True):
            if isinstance(handle, Line2D) and (architecture := text.get_text().split(" (")[0]) in SPACE["architecture"]:
                shown.setdefault(architecture, {}).setdefault(str(handle.get_color()), set()).add(name)
    tried = run.trials["architecture"].value_counts().index[0]
    assert run.best is not None and tried != run.best.config["architecture"], "or this proves nothing"
    assert all(len(colours) == 1 for colours in shown.values()), shown
    assert any(len(plots) == 3 for colours in shown.values() for plots in colours.values())
