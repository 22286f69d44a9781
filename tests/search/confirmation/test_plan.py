"""The plan of a confirmation, without training."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.searches import small_config
from thaw.analysis.run_folder import RunFolder
from thaw.search.confirmation.confirm import check_folds
from thaw.search.confirmation.cross_validation import Leader
from thaw.search.confirmation.out_of_fold import OutOfFold, write_out_of_fold
from thaw.search.confirmation.plan import Plan, assign_folds, fold_notes
from thaw.search.prepare.preflight import Prepared, prepare
from thaw.search.sessions.tuner import write_inputs
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


@pytest.fixture
def own_split(prepared: Prepared, tmp_path: Path, cache: Path) -> Prepared:
    """The same photos, every third in the validation split by a column; with three folds."""
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    rows = [f"{line},{'val' if i % 3 == 0 else 'train'}" for i, line in enumerate(lines[1:])]
    (tmp_path / "labels.csv").write_text("\n".join([f"{lines[0]},part", *rows]))
    config = small_config(tmp_path, tmp_path, cache, data={"split": {"column": "part"}})
    return with_folds(prepare(config), seeds=1)


def with_folds(prepared: Prepared, seeds: int) -> Prepared:
    folds = assign_folds(prepared, Plan(folds=3, seeds=seeds, leaders=()))
    return replace(prepared, context=replace(prepared.context, folds=folds))


def test_a_fold_without_labels_is_refused_before_anything_is_trained(prepared: Prepared) -> None:
    with pytest.raises(ConfigError, match=r"--folds: fold \d .from 0, seed 0. .* none of its 6 validation images"):
        assign_folds(prepared, Plan(folds=4, seeds=1, leaders=()))


def test_with_fewer_folds_each_has_a_label(prepared: Prepared) -> None:
    [folds] = assign_folds(prepared, Plan(folds=2, seeds=1, leaders=()))
    assert all(prepared.dataset.labels[fold.validation].any() for fold in folds)


def test_folds_keep_the_users_groups_apart_and_a_note_says_so(own_split: Prepared, prepared: Prepared) -> None:
    [folds] = own_split.context.folds
    assert sorted(np.concatenate([fold.validation for fold in folds]).tolist()) == list(range(0, 24, 3))
    assert all((fold.train % 3 > 0).all() and len(fold.train) > 8 for fold in folds)
    [note] = fold_notes(own_split)
    assert "folds do not mix them" in note and "data.split.group" in note
    assert fold_notes(prepared) == [], "groups take precedence"


def test_a_confirmation_continues_with_its_own_folds_only(own_split: Prepared, tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "confirm")
    folder.create()
    leader = Leader(0, {}, 1, 0.5, [])
    plan = Plan(folds=3, seeds=2, leaders=(leader,))
    check_folds(folder, [], plan, own_split)
    write_inputs(folder, own_split)
    more = with_folds(own_split, seeds=2)
    check_folds(folder, [], plan, more)
    [folds] = own_split.context.folds
    others = replace(own_split, context=replace(own_split.context, folds=(folds[::-1],)))
    with pytest.raises(ConfigError, match="began with different folds"):
        check_folds(folder, [], plan, others)
    content = folder.provenance()
    del content["data"]["folds"]
    folder.write_text(folder.provenance_file, json.dumps(content))
    check_folds(folder, [], plan, others)
    with pytest.raises(ConfigError, match="began with different folds"):
        check_folds(folder, [{"event": "trial_started"}], plan, others)
    for number, fold in enumerate(folds[:2]):
        folder.fold_predictions(number).parent.mkdir(exist_ok=True)
        logits = np.zeros((len(fold.validation), 2), np.float32)
        write_out_of_fold(folder.fold_predictions(number), OutOfFold(logits, fold.validation))
    check_folds(folder, [], plan, more)
    with pytest.raises(ConfigError, match="Thaw 0.1.0 assigned them by another rule"):
        check_folds(folder, [], plan, others)
