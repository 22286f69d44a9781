"""Pictures of a report: light and dark ones share a layout."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from tests.synthetic_runs import synthetic_run
from thaw.analysis.plots import DARK, LIGHT, PLOTS
from thaw.analysis.report.pictures import draw_all, lay_out, share_layout, untitled
from thaw.analysis.run import Run, load_run


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


def test_labels_beyond_the_fonts_give_no_warning(tmp_path: Path) -> None:
    run = synthetic_run(tmp_path / "run", 3, labels=2)
    provenance = run.folder.provenance()
    provenance["data"]["classes"] = ["\N{BEAR FACE}", "dog"]
    run.folder.provenance_file.write_text(json.dumps(provenance))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        groups, _ = draw_all({"label_quality": PLOTS["label_quality"]}, load_run(run.folder.path), tmp_path / "r", "")
    assert len(groups) == 1 and "\N{BEAR FACE}" in (tmp_path / "r/tables/label_quality.csv").read_text()
