"""Photos on the page: their content, their size limit, and reports without them."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from rich.console import Console

from tests.confirmations import leader, outcome
from tests.conftest import ROOT
from tests.searches import small_config
from thaw.analysis.report import page
from thaw.analysis.report import photos as photos_page
from thaw.analysis.report.photos import Photo, Sheet, gallery
from thaw.analysis.run import Run, load_run
from thaw.search.cli import app
from thaw.search.confirmation.out_of_fold import OutOfFold, write_out_of_fold
from thaw.search.photos import augmented, run_sheets, show
from thaw.spaces import ConfigError
from thaw.trainables.data.affine import view_matrices
from thaw.trainables.data.augment import AUGMENTS
from thaw.trainables.data.views import render
from thaw.trainables.training.checkpoint import read_best


def test_an_augmented_image_is_what_the_network_gets() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    for matrix in view_matrices(AUGMENTS["paper"], 3, 1, np.arange(8)):
        tensors = torch.from_numpy(pixels[None]), torch.from_numpy(matrix[None])
        exact = render(*tensors, (0, 0, 0), (1, 1, 1))[0].permute(1, 2, 0).numpy() * 255
        assert np.abs(augmented(pixels, matrix) - exact).max() < 2


def test_labels_cannot_write_the_page_and_thumbnails_keep_their_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    photos = tuple(Photo(noise, f"{i}.jpg", ("<script>alert(1)</script>",)) for i in range(20))
    html = gallery([Sheet("<b>", "what & why", photos)])
    assert "<script>" not in html and html.count("&lt;script&gt;") == 20 and "&lt;b&gt;" in html
    monkeypatch.setattr(photos_page, "BUDGET", 60_000)
    small = gallery([Sheet("a", "b", photos)])
    assert len(small) < 100_000 and re.search(r"\d+ more are left out", small)


def test_show_without_a_search(tmp_path: Path, squares: Path, cache: Path) -> None:
    config = small_config(tmp_path, squares, cache)
    show(config, tmp_path / "photos.html", Console(file=io.StringIO()))
    text = (tmp_path / "photos.html").read_text()
    assert text.count("data:image/jpeg") == 18 and text.count("augmented, view 1") == 6 and "labels: " in text
    with pytest.raises(ConfigError, match="never overwritten"):
        show(config, tmp_path / "photos.html", Console(quiet=True))


@pytest.fixture
def confirmed(grid: Run, tmp_path: Path) -> Run:
    """A run with out-of-fold predictions that are right but for one image."""
    shutil.copytree(grid.folder.path, tmp_path / "run")
    run = load_run(tmp_path / "run")
    assert run.best is not None
    rows = read_best(run.folder.best_file(run.best.number)).rows
    labels = run_sheets(run)[0]
    assert labels.photos
    from thaw.search.photos import _photos_of

    targets = _photos_of(run).dataset.labels[rows]
    logits = np.where(targets, 4.0, -4.0).astype(np.float32)
    logits[0] *= -1.2
    write_out_of_fold(run.folder.confirmed_predictions(run.best.number), OutOfFold(logits, rows))
    run.folder.confirm_file.write_text(json.dumps(outcome(leader(run.best.number, 0.5))))
    return load_run(run.folder.path)


def test_a_runs_photos(confirmed: Run) -> None:
    training, wrong, unsure, doubts = run_sheets(confirmed)
    assert len(training.photos) == 18
    assert (
        len(wrong.photos) == len(unsure.photos) == 12
        and "most wrong" in wrong.title
        and "least certain" in unsure.title
    )
    best = read_best(confirmed.folder.best_file(confirmed.best.number))  # type: ignore[union-attr]
    assert all(re.match(r"predicted: \w+ [01]\.\d\d", photo.lines[1]) for photo in wrong.photos)
    [doubt] = doubts.photos
    assert re.match(r"(probably|hardly) \w+: (0.99|0.01)", doubt.lines[1])
    validation = {f"{row}.png" for row in best.rows}
    assert {photo.name for photo in (*wrong.photos, *unsure.photos)} <= validation
    assert not {photo.name for photo in training.photos} & validation


def test_changed_data_are_not_shown(confirmed: Run, tmp_path: Path) -> None:
    settings = confirmed.folder.settings()
    lines = Path(settings["data"]["labels"]).read_text().splitlines()
    (tmp_path / "labels.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]))
    text = confirmed.folder.search_file.read_text().replace(settings["data"]["labels"], str(tmp_path / "labels.csv"))
    confirmed.folder.search_file.write_text(text)
    with pytest.raises(ConfigError, match="changed"):
        run_sheets(confirmed)


def test_the_report_needs_no_torch_and_leaves_photos_out_on_request(
    confirmed: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import sys
from thaw.analysis.report import page
from thaw.search.cli import app
page.PLOTS = {}
app(sys.argv[1:], standalone_mode=False)
sys.exit(" ".join({"torch", "ray"} & sys.modules.keys()) or None)
"""
    confirmed.folder.confirm_file.unlink()
    arguments = ["report", str(confirmed.folder.path)]
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    with_photos = (confirmed.folder.report / "index.html").read_text()
    photos = re.findall(r"data:image/jpeg;base64,[^\"]+", with_photos)
    assert "Training images as the network sees them" in with_photos and len(photos) >= 18
    assert sum(map(len, photos)) < 1_400_000
    monkeypatch.setattr(page, "PLOTS", {})
    app([*arguments, "--no-photos"], standalone_mode=False)
    without = (confirmed.folder.report / "index.html").read_text()
    assert "Training images as the network sees them" not in without and "data:image/jpeg" not in without
