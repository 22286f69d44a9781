"""What a confirmation trains, found out without training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.searches import small_config
from thaw.search.confirmation.plan import Plan, deal_folds
from thaw.search.prepare.preflight import Prepared, prepare
from thaw.spaces import ConfigError

PATIENTS = {"ann": "red", "ben": "green", "cid": "red green", "dan": ""}
"""The labels of each one's photos; dan's have none."""


@pytest.fixture
def prepared(tmp_path: Path, cache: Path) -> Prepared:
    (tmp_path / "images").mkdir()
    rng, lines = np.random.default_rng(0), ["filename,labels,patient"]
    for number in range(24):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(tmp_path / "images" / f"{number}.png")
        patient = list(PATIENTS)[number // 6]
        lines.append(f"{number}.png,{PATIENTS[patient]},{patient}")
    (tmp_path / "labels.csv").write_text("\n".join(lines))
    split = {"validation": 0.4, "test": 0, "group": "patient"}
    return prepare(small_config(tmp_path, tmp_path, cache, data={"split": split}))


def test_a_fold_without_labels_is_refused_before_anything_is_trained(prepared: Prepared) -> None:
    with pytest.raises(ConfigError, match=r"--folds: fold \d .from 0, seed 0. .* none of its 6 validation images"):
        deal_folds(prepared, Plan(folds=4, seeds=1, leaders=()))


def test_fewer_folds_put_them_beside_others(prepared: Prepared) -> None:
    [folds] = deal_folds(prepared, Plan(folds=2, seeds=1, leaders=()))
    assert all(prepared.dataset.labels[fold.validation].any() for fold in folds)
