"""Pictures of a report: light and dark ones share a layout."""

from __future__ import annotations

import pytest

from tests.synthetic_runs import synthetic_run
from thaw.analysis.plots import DARK, LIGHT, PLOTS
from thaw.analysis.report.pictures import lay_out, share_layout, untitled
from thaw.analysis.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return synthetic_run(tmp_path_factory.mktemp("runs") / "run", 20)


@pytest.mark.parametrize("narrow", [False, True], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", ["freeze_depth", "depth_curves", "parallel_coordinates"])
def test_dark_pictures_share_the_layout_of_light_ones(name: str, narrow: bool, run: Run) -> None:
    plot = PLOTS[name]
    data = plot.compute(run)
    themes = [theme.narrow if narrow else theme for theme in (LIGHT, DARK, DARK)]
    light, dark, by_itself = (untitled(plot, data, theme) for theme in themes)
    lay_out(light)
    lay_out(by_itself)
    before = [axes.get_position().bounds for axes in dark.axes]
    share_layout(light, dark)
    shared = [axes.get_position().bounds for axes in dark.axes]
    assert shared != before
    for own, given in zip(by_itself.axes, shared, strict=True):
        assert given == pytest.approx(own.get_position().bounds, abs=1e-6)
