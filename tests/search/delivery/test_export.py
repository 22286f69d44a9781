"""Export: a bundle equals the trial in its run, and every use of the test split is recorded."""

from __future__ import annotations

import io
import json
import shutil
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from safetensors.torch import load_file
from torchvision import models

from tests.confirmations import leader, outcome
from tests.mounts import read_only, small_disk
from tests.searches import search_file, small_search
from thaw.analysis.run import Run, load_run
from thaw.search.confirmation.confirm import run_confirm
from thaw.search.confirmation.out_of_fold import OutOfFold, write_out_of_fold
from thaw.search.delivery import export
from thaw.search.delivery.export import export_run
from thaw.search.delivery.fit import TrainingFailed
from thaw.search.delivery.single import trial_file
from thaw.search.delivery.train import train_config
from thaw.search.delivery.winner import LabelGoal, Winner
from thaw.search.prepare.preflight import prepare
from thaw.search.sessions.resume import resume_search
from thaw.search.settings.config import load_config
from thaw.search.settings.units import LONGEST_NAME
from thaw.spaces import ConfigError
from thaw.spaces.words import counted
from thaw.trainables.bundles.bundle import CARD, CONFIG, FACTS, MODEL, ONNX, load_bundle
from thaw.trainables.context import ImageSource
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.evaluation.label_sets import fit_label_rule
from thaw.trainables.evaluation.policies import GROUPS
from thaw.trainables.training.checkpoint import read_best, write_best

WIDTH = 120


def _export(run: Run, to: Path, **options: Any) -> tuple[dict[str, Any], str]:
    """The facts of a new bundle, and what was printed."""
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    facts = export_run(run, to, console, **options)
    return facts, console.export_text()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, squares: Path, cache: Path, resnet18_file: Path) -> Run:
    """Two trials of a frozen resnet18 with random weights and two of a ConvNet."""
    folder = tmp_path_factory.mktemp("export")
    space = {"architecture": ["convnet", "resnet18"], "freeze_depth": [5], "learning_rate": [0.003, 0.0003]}
    training = {"architecture": None, "epochs": 2, "head_units": 16}
    weights = {"resnet18": str(resnet18_file)}
    return small_search(
        folder, squares, cache, space=space, training=training, weights=weights, checkpoints={"keep": 4}
    )


@pytest.fixture
def copied(run: Run, tmp_path: Path) -> Run:
    """A copy of the run, which a test may change."""
    shutil.copytree(run.folder.path, tmp_path / "run")
    return load_run(tmp_path / "run")


def _moved(folder: Path) -> list[str]:
    """Overrides for images and labels in another folder."""
    return [f"data.images={folder / 'images'}", f"data.labels={folder / 'labels.csv'}"]


def _of(run: Run, architecture: str) -> int:
    return next(number for number, record in run.records.items() if record.config["architecture"] == architecture)


@pytest.mark.parametrize("architecture", ["convnet", "resnet18"])
def test_a_bundle_predicts_as_its_trial(copied: Run, tmp_path: Path, squares: Path, architecture: str) -> None:
    number = _of(copied, architecture)
    facts, printed = _export(copied, tmp_path / "bundle", trial=number)
    best = read_best(copied.folder.best_file(number))
    prepared = prepare(load_config(copied.folder.search_file))
    bundle = load_bundle(tmp_path / "bundle", "cpu")
    files = [squares / "images" / prepared.dataset.files[row] for row in best.rows]
    found = [list(prediction.probabilities.values()) for prediction in bundle.predict(files)]
    np.testing.assert_allclose(found, bundle.rule.probabilities(best.logits), atol=1e-5)
    assert bundle.classes == bundle.ids == ("blue", "green", "red")
    assert "training it again" not in printed
    assert facts["trial"] | {"config": None} == {
        "number": number,
        "status": copied.records[number].status,
        "epoch": best.epoch,
        "config": None,
        "weights_from": "checkpoint",
        "refit": False,
    }
    assert facts["validation"]["metrics"] == copied.records[number].epochs[best.epoch]["metrics"]
    assert facts["rule_fit"]["optimistic"] and facts["rule_fit"]["images"] == len(best.rows)


def test_a_run_with_a_long_name_is_exported(copied: Run) -> None:
    text = copied.folder.search_file.read_text()
    copied.folder.search_file.write_text(text.replace("name: squares", f"name: {'n' * LONGEST_NAME}"))
    run = load_run(copied.folder.path)
    assert run.best is not None
    assert trial_file(run, run.best).name == f"{'n' * (LONGEST_NAME - 8)}-trial-{run.best.number}"


def test_a_bundle_needs_nothing_of_its_run(copied: Run, tmp_path: Path, squares: Path) -> None:
    _export(copied, tmp_path / "bundle", trial=_of(copied, "resnet18"))
    files = sorted(path.name for path in (tmp_path / "bundle").iterdir())
    assert files == sorted([FACTS, MODEL, CARD, CONFIG])
    (tmp_path / "bundle").rename(tmp_path / "elsewhere")
    shutil.rmtree(copied.folder.path)
    images = sorted((squares / "images").iterdir())[:3]
    assert len(load_bundle(tmp_path / "elsewhere").predict(images)) == 3


def test_the_test_split_is_scored_and_each_time_is_noted(copied: Run, tmp_path: Path) -> None:
    assert "test_scored" not in copied.folder.provenance()
    facts, printed = _export(copied, tmp_path / "one")
    test = facts["test"]
    assert test["images"] == copied.folder.provenance()["data"]["images"]["test"] and test["times_scored"] == 1
    assert set(test["metrics"]) == set(test["as_searched"]) | {"loss"}
    for name, estimate in test["metrics"].items():
        assert estimate["low"] <= estimate["value"] <= estimate["high"], name
    assert set(test["trivial"]) == {"nothing", "most_frequent_label", "label_frequencies"}
    assert {row["group"] for row in test["policies"]} <= set(GROUPS)
    assert "locked test images" in printed and "now biased" not in printed
    # Headings may be broken over lines, so the trivial predictors are known by their figures.
    losses = next(line.split() for line in printed.splitlines() if line.split()[:1] == ["loss"])
    assert losses[-3:] == [f"{metrics['loss']:.3f}" for metrics in test["trivial"].values()]
    again, printed = _export(copied, tmp_path / "two", trial=0)
    assert again["test"]["times_scored"] == 2 and "scored 2 times" in printed
    noted = copied.folder.provenance()["test_scored"]
    assert [entry["trial"] for entry in noted] == [facts["trial"]["number"], 0]
    assert noted[0]["metrics"] == {name: estimate["value"] for name, estimate in test["metrics"].items()}
    assert json.loads((tmp_path / "two" / FACTS).read_text())["test"] == again["test"]


@pytest.mark.parametrize("harm", ["absent", "damaged", "another epoch"])
def test_without_its_checkpoint_a_trial_is_trained_again(copied: Run, tmp_path: Path, harm: str) -> None:
    number = _of(copied, "convnet")
    file = copied.folder.best_file(number)
    before = read_best(file)
    if harm == "absent":
        shutil.rmtree(file.parent)
    elif harm == "damaged":
        file.write_bytes(file.read_bytes()[:-10])
    else:
        write_best(file, replace(before, epoch=before.epoch + 1))
    facts, printed = _export(copied, tmp_path / "bundle", trial=number)
    assert facts["trial"]["weights_from"] == "trained_again"
    assert "retraining it" in printed and "its results match the log" in printed
    state = load_file(tmp_path / "bundle" / MODEL)
    for name, value in before.state.items():
        assert torch.equal(state[name], value), name


def test_other_results_are_reported(copied: Run, tmp_path: Path) -> None:
    number = _of(copied, "convnet")
    shutil.rmtree(copied.folder.checkpoints)
    text = copied.folder.events_file.read_text().splitlines()
    events = [json.loads(line) for line in text]
    for event in events:
        if event["event"] == "epoch":
            event["metrics"]["val_loss"] += 0.125
    copied.folder.events_file.write_text("".join(json.dumps(event) + "\n" for event in events))
    _, printed = _export(load_run(copied.folder.path), tmp_path / "bundle", trial=number)
    assert "note: its results differ from the log, most in val_loss" in printed


def test_refit_trains_on_validation_images_too(copied: Run, tmp_path: Path) -> None:
    number = _of(copied, "convnet")
    plain, _ = _export(copied, tmp_path / "plain", trial=number)
    refit, printed = _export(copied, tmp_path / "refit", trial=number, refit=True)
    epoch = plain["trial"]["epoch"]
    assert f"training on training and validation images together, {counted(epoch, 'epoch')}" in printed
    assert "val_" not in printed.split("together")[1].split("locked")[0], "nothing is claimed on images it has seen"
    assert refit["trial"]["refit"] and refit["rule"] == plain["rule"]
    one, two = (load_file(tmp_path / name / MODEL) for name in ("plain", "refit"))
    assert any(not torch.equal(one[name], two[name]) for name in one)
    assert "training and validation images together" in (tmp_path / "refit" / CARD).read_text()


def test_onnx_is_added_to_the_bundle(copied: Run, tmp_path: Path) -> None:
    facts, printed = _export(copied, tmp_path / "bundle", trial=_of(copied, "resnet18"), onnx=True)
    assert 0 <= facts["onnx"]["largest_difference"] < 1e-4 and facts["onnx"]["images"] > 10
    assert "model.onnx differs from PyTorch by" in printed
    assert load_bundle(tmp_path / "bundle").facts["files"].keys() == {MODEL, CARD, CONFIG, ONNX}
    other, _ = _export(copied, tmp_path / "other", trial=_of(copied, "convnet"), onnx=True)
    shutil.copy(tmp_path / "other" / ONNX, tmp_path / "bundle" / ONNX)
    with pytest.raises(ConfigError, match=r"model\.onnx: is not the file that this bundle was made with"):
        load_bundle(tmp_path / "bundle")
    assert other["onnx"] is not None


def test_the_label_rule_serves_the_goal(copied: Run, tmp_path: Path) -> None:
    goal = LabelGoal("precision", "at_most", 1, 0.8)
    facts, _ = _export(copied, tmp_path / "bundle", goal=goal)
    assert facts["rule"]["policy"] == "at_most" and facts["rule"]["k"] == 1
    assert facts["rule_fit"]["target"] == "precision" and facts["rule_fit"]["floor"] == 0.8
    assert LabelGoal(k=2).given_policy == "at_most" and LabelGoal().given_policy is None


@pytest.mark.parametrize(
    ("goal", "message"),
    [
        ({"target": "f1"}, "target: unknown target 'f1'"),
        ({"policy": "most"}, "policy: unknown policy 'most'"),
        ({"policy": "at_most"}, "k: at_most needs k >= 1"),
        ({"policy": "threshold", "k": 2}, "k: at_most needs k >= 1, other policies take no k"),
        ({"floor": 2.0}, r"floor: must lie in \(0, 1\], got 2"),
    ],
)
def test_a_wrong_goal_is_found_before_anything_is_trained(goal: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LabelGoal(**goal)


def test_thresholds_serve_the_metric_of_the_search(copied: Run) -> None:
    assert copied.best is not None
    best, prepared = (
        read_best(copied.folder.best_file(copied.best.number)),
        prepare(load_config(copied.folder.search_file)),
    )

    def target(metric: str, goal: LabelGoal) -> str:
        searched = replace(prepared, context=replace(prepared.context, metric=f"val_{metric}"))
        return Winner(searched, best, goal, run="any", metrics={}, source="checkpoint").target

    expected = {"map": "f1_macro", "loss": "f1_macro", "f1_macro": "f1_macro", "f1_micro": "f1_micro"}
    expected |= {"exact_match": "f1_micro", "inclusion_accuracy": "inclusion_accuracy"}
    assert {metric: target(metric, LabelGoal()) for metric in expected} == expected
    assert target("f1_micro", LabelGoal("precision")) == "precision"


def test_a_confirmation_chooses_and_gives_the_label_rule(copied: Run, tmp_path: Path) -> None:
    best = copied.best
    assert best is not None
    number = next(number for number in copied.records if number != best.number)
    checkpoint = read_best(copied.folder.best_file(number))
    targets = prepare(load_config(copied.folder.search_file)).dataset.labels
    # Predictions that know the answer: their thresholds are not those of the validation images.
    logits = np.where(targets, 3.0, -3.0).astype(np.float32)
    rows = np.arange(len(targets))
    write_out_of_fold(copied.folder.confirmed_predictions(number), OutOfFold(logits, rows))
    copied.folder.confirm_file.write_text(json.dumps(outcome(leader(number, 0.5))))
    facts, printed = _export(copied, tmp_path / "bundle")
    assert f"`thaw confirm` chose trial {number}" in printed and "optimistic" not in printed
    assert facts["trial"]["number"] == number and facts["confirmation"]["chosen"] == number
    assert facts["rule_fit"] | {"target": "", "floor": None} == {
        "target": "",
        "floor": None,
        "from": "out_of_fold",
        "images": len(rows),
        "optimistic": False,
    }
    assert facts["rule"] == fit_label_rule(logits, targets).to_dict()
    assert (
        facts["validation"]["images"] == len(checkpoint.rows) and "+0.100" in (tmp_path / "bundle" / CARD).read_text()
    )
    facts, printed = _export(copied, tmp_path / "another", trial=best.number)
    assert f"trial {best.number} was not confirmed" in printed and facts["rule_fit"]["optimistic"]


def test_config_trains_the_same_again(copied: Run, tmp_path: Path) -> None:
    number = _of(copied, "convnet")
    exported, _ = _export(copied, tmp_path / "bundle", trial=number)
    config = load_config(tmp_path / "bundle" / CONFIG)
    assert config.to_yaml() == (tmp_path / "bundle" / CONFIG).read_text()
    facts = train_config(config, tmp_path / "trained", Console(quiet=True))
    assert facts["validation"]["metrics"] == exported["validation"]["metrics"]
    assert facts["test"]["metrics"] == exported["test"]["metrics"]
    assert facts["trial"]["number"] is None and facts["trial"]["epoch"] == exported["trial"]["epoch"]
    assert (tmp_path / "trained" / MODEL).read_bytes() == (tmp_path / "bundle" / MODEL).read_bytes()
    assert "without a search" in (tmp_path / "trained" / CARD).read_text()


def test_training_needs_one_configuration(tmp_path: Path, squares: Path, cache: Path) -> None:
    config = load_config(search_file(tmp_path, squares, cache))
    with pytest.raises(
        ConfigError, match="space: training takes one configuration, this file searches dropout, learning_rate"
    ):
        train_config(config, tmp_path / "bundle", Console(quiet=True))


def test_a_training_that_fails_leaves_nothing(tmp_path: Path, squares: Path, cache: Path) -> None:
    training = {"optimizer": "sgd", "learning_rate": 10.0, "momentum": 0.99, "weight_decay": 1.0, "epochs": 20}
    config = load_config(search_file(tmp_path, squares, cache, space={}, training=training, search={}))
    with pytest.raises(TrainingFailed, match="smaller learning_rate"):
        train_config(config, tmp_path / "bundle", Console(quiet=True))
    assert not list(tmp_path.glob("*bundle*"))


def test_without_a_test_split_nothing_is_claimed(tmp_path: Path, squares: Path, cache: Path) -> None:
    data = {"split": {"validation": 0.3, "test": 0.0}}
    training = {"learning_rate": 0.003, "epochs": 1}
    config = load_config(search_file(tmp_path, squares, cache, space={}, data=data, training=training, search={}))
    console = Console(record=True, width=WIDTH, file=io.StringIO())
    assert train_config(config, tmp_path / "bundle", console)["test"] is None
    assert "no test split" in console.export_text() and "no test split" in (tmp_path / "bundle" / CARD).read_text()


def test_changed_images_are_refused(copied: Run, tmp_path: Path, squares: Path) -> None:
    shutil.copytree(squares, tmp_path / "squares")
    shutil.copy(tmp_path / "squares" / "images" / "1.png", tmp_path / "squares" / "images" / "0.png")
    with pytest.raises(ConfigError, match="images or labels have changed since the run"):
        _export(copied, tmp_path / "bundle", overrides=_moved(tmp_path / "squares"))
    assert not (tmp_path / "bundle").exists() and "test_scored" not in copied.folder.provenance()


def test_moved_images_are_found(copied: Run, tmp_path: Path, squares: Path) -> None:
    shutil.copytree(squares, tmp_path / "squares")
    _export(copied, tmp_path / "bundle", overrides=_moved(tmp_path / "squares"))
    config = yaml.safe_load((tmp_path / "bundle" / CONFIG).read_text())
    assert config["data"]["images"] == str(tmp_path / "squares" / "images")


def test_other_pretrained_weights_are_refused(copied: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(7)
    torch.save(models.resnet18(weights=None).state_dict(), tmp_path / "other.pth")
    overrides = [f"weights.resnet18={tmp_path / 'other.pth'}"]
    options: dict[str, Any] = {"trial": _of(copied, "resnet18"), "overrides": overrides}
    with pytest.raises(ConfigError, match="the weights or the code of resnet18 are not those that the run began with"):
        _export(copied, tmp_path / "bundle", **options)
    # Whatever the digests say, the assembled network must reproduce the trial's metrics.
    monkeypatch.setattr("thaw.search.delivery.export.check_same_inputs", lambda folder, prepared: None)
    with pytest.raises(ConfigError, match="weights: the assembled model must give the trial's own logits"):
        _export(copied, tmp_path / "bundle", **options)
    assert not (tmp_path / "bundle").exists() and "test_scored" not in copied.folder.provenance()


def test_settings_that_change_results_may_not_be_set(copied: Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"threshold: is part of what the run's results mean"):
        _export(copied, tmp_path / "bundle", overrides=["threshold=0.3"])


@pytest.mark.parametrize("architecture", ["convnet", "resnet18"])
def test_half_precision_is_the_same_model(
    tmp_path: Path, squares: Path, cache: Path, resnet18_file: Path, architecture: str
) -> None:
    training = {"architecture": architecture, "freeze_depth": 5 * (architecture == "resnet18"), "learning_rate": 0.003}
    sections = {"precision": "bf16", "weights": {"resnet18": str(resnet18_file)}, "space": {}, "search": {}}
    config = load_config(search_file(tmp_path, squares, cache, training=training | {"epochs": 1}, **sections))
    facts = train_config(config, tmp_path / "bundle", Console(quiet=True))
    assert facts["provenance"]["precision"] == "bf16" and (tmp_path / "bundle" / MODEL).is_file()


def test_one_label_per_image_makes_a_classifier(tmp_path: Path, squares: Path, cache: Path) -> None:
    lines = (squares / "labels.csv").read_text().splitlines()
    (tmp_path / "single.csv").write_text("\n".join(line for line in lines if " " not in line))
    data, training = {"labels": str(tmp_path / "single.csv")}, {"learning_rate": 0.003, "epochs": 2}
    search = {"metric": "val_balanced_accuracy"}
    config = load_config(search_file(tmp_path, squares, cache, data=data, training=training, space={}, search=search))
    facts = train_config(config, tmp_path / "bundle", Console(quiet=True))
    assert facts["rule"]["policy"] == "exactly_one" and facts["search"]["metric"] == "val_balanced_accuracy"
    test = facts["test"]
    assert test["metrics"]["exact_match"] == test["metrics"]["accuracy"], "the set is the most probable label"
    assert {"accuracy", "balanced_accuracy"} <= test["as_searched"].keys() & test["trivial"]["nothing"].keys()
    assert "**Accuracy " in (tmp_path / "bundle" / CARD).read_text()
    images = sorted((squares / "images").iterdir())[:20]
    assert all(len(prediction.labels) == 1 for prediction in load_bundle(tmp_path / "bundle").predict(images))
    sets = train_config(config, tmp_path / "sets", Console(quiet=True), goal=LabelGoal(policy="threshold"))
    assert sets["rule"]["policy"] == "threshold"


def test_the_images_are_opened_once(copied: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened, once = [], ImageSource.open

    def counting(self: ImageSource, *arguments: Any) -> ImageStore:
        opened.append(self)
        return once(self, *arguments)

    monkeypatch.setattr(ImageSource, "open", counting)
    _export(copied, tmp_path / "bundle", trial=_of(copied, "convnet"), refit=True, onnx=True)
    assert len(opened) == 1


def test_a_run_folder_that_cannot_be_written_is_refused_before_anything_is_trained(
    copied: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(copied.folder.checkpoints)
    monkeypatch.delattr("thaw.search.delivery.export.fit")
    with read_only(copied.folder.path):
        with pytest.raises(ConfigError, match="must be writable"):
            _export(copied, tmp_path / "bundle")
        for command in (resume_search, run_confirm):
            with pytest.raises(ConfigError, match="must be writable"):
                command(copied.folder.path)
    with small_disk(tmp_path / "disk", "100k") as disk, pytest.raises(ConfigError, match="MB are needed"):
        _export(copied, disk / "bundle")


def test_a_finished_bundle_is_not_lost_over_a_note(
    copied: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = export.score_test

    def then_full(*arguments: Any) -> Any:
        full = stack.enter_context(read_only(copied.folder.path))
        assert full == copied.folder.path
        return score(*arguments)

    monkeypatch.setattr(export, "score_test", then_full)
    with ExitStack() as stack:
        facts, printed = _export(copied, tmp_path / "bundle")
    assert "warning: " in printed and "provenance.json cannot be written (Read-only file system)" in printed
    assert facts["test"]["times_scored"] == 1 and load_bundle(tmp_path / "bundle").facts["test"] == facts["test"]


def test_nothing_is_overwritten_and_nothing_left(copied: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there").mkdir()
    with pytest.raises(ConfigError, match="exists already and is never overwritten"):
        _export(copied, tmp_path / "there")
    with pytest.raises(ConfigError, match=r"--trial: must be a trial with a finished epoch \(0, 1, 2, 3\), got 9"):
        _export(copied, tmp_path / "bundle", trial=9)

    def fail(facts: object) -> str:
        raise OSError("no space left on device")

    monkeypatch.setattr("thaw.search.delivery.deliver.model_card", fail)
    with pytest.raises(OSError, match="no space left"):
        _export(copied, tmp_path / "bundle")
    assert not list(tmp_path.glob("*bundle*"))
