"""A small search on real photos with real pretrained weights beats every trivial predictor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import needs_photos, thaw_data
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import load_config

PHOTOS = 200
SEARCH = """
name: photos
data: {{images: "{data}/images", labels: labels.csv, image_size: 128, augment: none}}
weights: {{mobilenet_v2: "{weights}"}}
space: {{dropout: [0.0, 0.2, 0.4]}}
training: {{freeze_depth: 5, learning_rate: 1e-3, epochs: 1, batch_size: 8}}
search: {{algorithm: grid}}
scheduler: {{type: none}}
cache: {{directory: "{cache}"}}
output: "{output}"
"""


@needs_photos
def test_one_epoch_of_a_pretrained_network_beats_the_trivial_predictors(tmp_path: Path, cache: Path) -> None:
    data = thaw_data()
    assert data is not None
    weights = data.parent / "weights" / "mobilenet_v2-imagenet.pth"
    if not weights.is_file():
        pytest.skip("no real weights of MobileNetV2 beside the photos")
    lines = (data / "coco18" / "labels.csv").read_text().splitlines()[: PHOTOS + 1]
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    text = SEARCH.format(data=data / "coco18", weights=weights, cache=cache, output=tmp_path / "results")
    (tmp_path / "search.yaml").write_text(text)
    run = run_search(load_config(tmp_path / "search.yaml"), backend="inline")
    assert list(run.trials["status"]) == ["completed"] * 3
    trivial = max(row["map"] for row in run.folder.provenance()["trivial"].values())
    assert (run.trials["val_map"] > 1.3 * trivial).all(), (trivial, list(run.trials["val_map"]))
