"""The data of plots, worked out by hand on a run of six trials."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.synthetic_runs import provenance_of
from thaw.analysis.plots import PLOTS, NotEnough
from thaw.analysis.run import Run, load_run
from thaw.spaces import ConfigError, TrialConfig, measured

# architecture, freeze depth, learning rate, status, val_map by epoch, seconds of an epoch, worker, trained weights
TRIALS: list[tuple[str, int, float, str, list[float], float, str, int]] = [
    ("resnet50", 5, 1e-3, "completed", [0.30, 0.50, 0.60], 2.0, "a", 100),
    ("resnet50", 2, 1e-4, "pruned", [0.20], 8.0, "b", 900),
    ("mobilenet_v2", 5, 1e-2, "completed", [0.40, 0.45, 0.44], 1.0, "a", 50),
    ("mobilenet_v2", 2, 1e-3, "completed", [0.35, 0.55, 0.70], 4.0, "b", 400),
    ("convnet", 0, 1e-2, "pruned", [0.10], 0.5, "a", 300),
    ("resnet50", 2, 1e-4, "failed", [0.90], 8.0, "a", 900),
]


def write_run(folder: Path, trials: list[Any] = TRIALS, **settings: Any) -> Run:
    """Write trials one after another, without pauses between epochs."""
    folder.mkdir()
    events: list[dict[str, Any]] = [{"event": "session_started", "session": 1, "time": 100.0, "overrides": {}}]
    time = 100.0
    for number, (architecture, depth, rate, status, values, seconds, worker, parameters) in enumerate(trials):
        config = TrialConfig(architecture=architecture, freeze_depth=depth, learning_rate=rate).model_dump()
        events.append({"event": "trial_started", "session": 1, "time": time, "trial": number, "config": config})
        for epoch, value in enumerate(values, 1):
            time += seconds
            metrics = {
                prefix + name: 1 - value if name == "loss" else value
                for prefix in ("val_", "train_")
                for name in measured(False, 3)
            }
            row = {"trial": number, "epoch": epoch, "metrics": metrics, "label_ap": [value, 0.5, None], "decision": ""}
            row |= {"learning_rate": rate, "gradient_norm": float(epoch), "parameters": parameters, "worker": worker}
            row |= {"seconds": {"train": seconds * 0.75, "validate": seconds * 0.25}, "reason": ""}
            events.append({"event": "epoch", "session": 1, "time": time, **row})
        end = {"trial": number, "status": status, "reason": ""}
        events.append({"event": "trial_ended", "session": 1, "time": time, **end})
    (folder / "events.jsonl").write_text("".join(json.dumps({"v": 1, **event}) + "\n" for event in events))
    search: dict[str, Any] = {
        "weights": "imagenet",
        "space": {
            "architecture": ["resnet50", "mobilenet_v2", "convnet"],
            "freeze_depth": {"int": [2, 5]},
            "learning_rate": {"log": [1e-4, 1e-2]},
        },
        "training": {"epochs": 3},
        "search": {"metric": "val_map"},
        "scheduler": {"type": "asha", "grace_period": 1, "reduction_factor": 2},
    }
    (folder / "search.yaml").write_text(yaml.safe_dump(search | settings))
    labels = {
        "counts": {"train": [6, 3, 1], "validation": [2, 1, 0], "test": [2, 0, 1]},
        "per_image": {"train": {"1": 6, "2": 2}, "validation": {"1": 3, "0": 1}, "test": {"1": 1, "2": 1}},
        "cooccurrence": [[10, 2, 1], [2, 4, 0], [1, 0, 2]],
    }
    data = {"classes": ["cat", "dog", "owl"], "images": {"train": 8, "validation": 4, "test": 2}, "labels": labels}
    trivial = {
        name: dict.fromkeys(measured(False, 3), value)
        for name, value in (("nothing", 0.1), ("label_frequencies", 0.25))
    }
    known = provenance_of(labels=3, seed=0)
    (folder / "provenance.json").write_text(json.dumps(known | {"data": known["data"] | data, "trivial": trivial}))
    return load_run(folder)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write_run(tmp_path_factory.mktemp("numbers") / "run")


def rows(name: str, run: Run, columns: list[str], **options: Any) -> list[list[Any]]:
    plot = PLOTS[name]
    return plot.table(plot.compute(run, **options))[columns].to_numpy().tolist()


def test_freeze_depth(run: Run) -> None:
    columns = ["architecture", "freeze_depth", "best_val_map", "best_trial", "trials", "whole"]
    assert rows("freeze_depth", run, columns) == [
        ["mobilenet_v2", 2, 0.70, 3, 1, 1],
        ["resnet50", 5, 0.60, 0, 1, 1],
        ["mobilenet_v2", 5, 0.45, 2, 1, 1],
        ["resnet50", 2, 0.20, 1, 1, 0],
        ["convnet", 0, 0.10, 4, 1, 0],
    ], "the failed trial does not count"
    assert PLOTS["freeze_depth"].compute(run).depths == [0, 2, 3, 4, 5]


def test_depth_curves_leave_out_networks_of_one_depth(run: Run) -> None:
    data = PLOTS["depth_curves"].compute(run)
    assert data.best[["architecture", "freeze_depth", "trial"]].to_numpy().tolist() == [
        ["mobilenet_v2", 2, 3],
        ["resnet50", 5, 0],
        ["mobilenet_v2", 5, 2],
        ["resnet50", 2, 1],
    ]
    assert data.curves[data.curves["trial"] == 3]["value"].tolist() == [0.35, 0.55, 0.70]


def test_depth_and_learning_rate_leave_out_networks_without_weights(run: Run) -> None:
    data = PLOTS["depth_learning_rate"].compute(run)
    assert data.trials["trial"].tolist() == [3, 0, 2, 1]
    assert data.best[["freeze_depth", "learning_rate"]].to_numpy().tolist() == [[2, 1e-3], [5, 1e-3]]


def test_frozen_against_tuned(run: Run) -> None:
    columns = ["architecture", "frozen", "tuned", "tuned_depth", "gain"]
    (first, second) = rows("frozen_tuned", run, columns)
    assert first == ["mobilenet_v2", 0.45, 0.70, 2, pytest.approx(0.25)]
    assert second == ["resnet50", 0.60, 0.20, 2, pytest.approx(math.nan, nan_ok=True)], "stopped after one epoch"


def test_best_so_far(run: Run) -> None:
    # The first trial's three epochs, then trial 3, whose epochs end after 6 + 8 + 3 + 4, 8, 12 seconds.
    assert rows("best_so_far", run, ["trials", "seconds", "epochs", "best_val_map", "trial"]) == [
        [1, 2.0, 1, 0.30, 0],
        [1, 4.0, 2, 0.50, 0],
        [1, 6.0, 3, 0.60, 0],
        [4, 29.0, 10, 0.70, 3],
        [6, 37.5, 12, 0.70, 3],
    ]
    assert PLOTS["best_so_far"].compute(run).trivial == 0.25, "the better of the trivial predictors"


def test_pareto(run: Run) -> None:
    data = PLOTS["pareto"].compute(run).trials.set_index("trial")
    assert data["seconds_alone"].to_dict() == {3: 12.0, 0: 6.0, 2: 3.0, 1: 8.0, 4: 0.5}
    assert sorted(data.index[data["on_seconds_alone"]]) == [0, 2, 3, 4], "trial 1 is slower and worse than trial 0"
    assert sorted(data.index[data["on_parameters"]]) == [0, 2, 3]


def test_cost_to_quality(run: Run) -> None:
    assert rows("cost_to_quality", run, ["architecture", "seconds_alone", "best_val_map", "trial"]) == [
        ["mobilenet_v2", 1.0, 0.40, 2],
        ["mobilenet_v2", 2.0, 0.45, 2],
        ["mobilenet_v2", 8.0, 0.55, 3],
        ["mobilenet_v2", 12.0, 0.70, 3],
        ["resnet50", 2.0, 0.30, 0],
        ["resnet50", 4.0, 0.50, 0],
        ["resnet50", 6.0, 0.60, 0],
        ["convnet", 0.5, 0.10, 4],
    ]


def test_rungs(run: Run) -> None:
    # With three epochs and a reduction factor of two, rungs are the epochs 1 and 2.
    assert rows("rungs", run, ["rung", "reached", "went on", "stopped here", "waits"]) == [
        [1, 6, 4, 2, 0],
        [2, 3, 3, 0, 0],
    ]


def test_workers(run: Run) -> None:
    assert rows("workers", run, ["worker", "trial", "start", "end", "busy"]) == [
        ["a", 0, 0.0, 6.0, 6.0],
        ["a", 2, 14.0, 17.0, 3.0],
        ["a", 4, 29.0, 29.5, 0.5],
        ["a", 5, 29.5, 37.5, 8.0],
        ["b", 1, 6.0, 14.0, 8.0],
        ["b", 3, 17.0, 29.0, 12.0],
    ]


def test_slices_flag_only_ends_that_can_be_moved(run: Run, tmp_path: Path) -> None:
    assert PLOTS["slices"].compute(run).at_the_edge == {"freeze_depth": "lower"}, "2 of 2 to 5: less can be frozen"
    whole = {"architecture": ["resnet50"], "freeze_depth": {"int": [0, 5]}, "learning_rate": {"log": [1e-5, 1e-3]}}
    best_at_zero = write_run(
        tmp_path / "zero",
        [
            ("resnet50", 0, 9e-4, "completed", [0.9], 1.0, "a", 1),
            ("resnet50", 5, 1e-5, "completed", [0.1], 1.0, "a", 1),
        ],
        space=whole,
    )
    assert PLOTS["slices"].compute(best_at_zero).at_the_edge == {"learning_rate": "upper"}


def test_parallel_coordinates(run: Run) -> None:
    places = PLOTS["parallel_coordinates"].compute(run).places.round(6).tolist()
    assert places[0] == [0.5, 0.0, 0.5], "mobilenet_v2; depth 2 of 2 to 5; 1e-3 in the middle of 1e-4 to 1e-2"
    assert places[-1] == [1.0, -0.12, 1.0], "a ConvNet has no freeze depth"


def test_spikes(tmp_path: Path) -> None:
    # Changes +0.10, +0.12, -0.30, +0.31, +0.02, +0.04. For the fall, without it and the recovery: +0.10, +0.12, +0.02,
    # +0.04; median 0.07, deviations 0.03, 0.05, 0.05, 0.03, their median 0.04: a fall is more than noise from
    # 3 · 1.4826 · 0.04 - 0.07 = 0.108 on.
    values = [0.20, 0.30, 0.42, 0.12, 0.43, 0.45, 0.49]
    trials = [("resnet50", 3, 1e-3, "completed", values, 1.0, "a", 1)]
    data = PLOTS["spikes"].compute(write_run(tmp_path / "run", trials))
    (spike,) = data.spikes.to_dict("records")
    assert (spike["trial"], spike["epoch"], spike["freeze_depth"]) == (0, 4, 3)
    assert spike["fall"] == pytest.approx(0.30) and spike["limit"] == pytest.approx(0.10791, abs=1e-4)
    assert spike["gradient"] == pytest.approx(1.0), "4 by the median of 1 to 7"
    calm = [("resnet50", 3, 1e-3, "completed", [0.2, 0.3, 0.39, 0.385, 0.45, 0.5], 1.0, "a", 1)]
    with pytest.raises(NotEnough, match="none of 5 epochs does the metric fall"):
        PLOTS["spikes"].compute(write_run(tmp_path / "calm", calm))


def test_spikes_of_a_loss_are_rises(tmp_path: Path) -> None:
    values = [0.20, 0.30, 0.42, 0.12, 0.43, 0.45, 0.49]
    trials = [("resnet50", 3, 1e-3, "completed", values, 1.0, "a", 1)]
    run = write_run(tmp_path / "run", trials, search={"metric": "val_loss"})
    assert PLOTS["spikes"].compute(run).spikes["epoch"].tolist() == [4], "the loss is 1 - val_map here"


def test_the_paper_s_caption_and_table(run: Run) -> None:
    data = PLOTS["trial"].compute(run, trial=2)
    assert data.caption == (
        "bestEpoch | bestAcc | bestValAcc : 1 | 0.4500 | 0.4500\nminTrainLoss | minValLoss : 0.5500 | 0.5500"
    ), "the best epoch is the second one: 1, counted from 0"
    assert PLOTS["trial"].compute(run).trial == 3, "the best one by default"
    columns = ["trial", "epoch", "val_accuracy", "min_val_loss"]
    assert rows("results_table", run, columns, trials=[0, 2]) == [
        [0, 3, 0.60, pytest.approx(0.40)],
        [2, 2, 0.45, pytest.approx(0.55)],
    ]


def test_comparison(run: Run) -> None:
    data = PLOTS["compare_validation_loss"].compute(run, trials=[0, 3])
    assert data.names == {0: "trial 0: resnet50, depth 5", 3: "trial 3: mobilenet_v2, depth 2"}
    assert "trial 3 has the lowest validation loss, 0.3 at epoch 3" in PLOTS["compare_validation_loss"].finding(data)


def test_options_name_trials_that_exist(run: Run) -> None:
    with pytest.raises(ConfigError, match="trial: this run has trials 0 to 5, got 17"):
        PLOTS["trial"].compute(run, trial=17)
    with pytest.raises(ConfigError, match="trials: needs at least one trial number"):
        PLOTS["compare_training_loss"].compute(run, trials=[])


def test_labels(run: Run) -> None:
    assert rows("label_distribution", run, ["label", "train", "validation", "test", "total"]) == [
        ["cat", 6, 2, 2, 10],
        ["dog", 3, 1, 0, 4],
        ["owl", 1, 0, 1, 2],
    ]
    assert rows("labels_per_image", run, ["labels", "total", "share"]) == [
        [0, 1, pytest.approx(1 / 14)],
        [1, 10, pytest.approx(10 / 14)],
        [2, 3, pytest.approx(3 / 14)],
    ]
    pairs = rows("cooccurrence", run, ["label", "with", "images", "share_of_label", "share_of_with"])
    assert pairs == [["cat", "dog", 2, 0.2, 0.5], ["cat", "owl", 1, 0.1, 0.5]]


def test_label_quality_against_a_constant_prediction(run: Run) -> None:
    # Trial 3 at epoch 3; a label without a validation positive has no average precision.
    quality = rows("label_quality", run, ["label", "ap", "trivial", "support", "train"])
    assert quality == [["cat", 0.70, 0.5, 2, 6], ["dog", 0.5, 0.25, 1, 3]]


def test_learning_curves_count_every_trial_with_an_epoch(run: Run) -> None:
    data = PLOTS["learning_curves"].compute(run)
    assert data.best == 3 and data.statuses.value_counts().to_dict() == {"completed": 3, "pruned": 2, "failed": 1}


def test_pauses_between_sessions_are_no_search_time() -> None:
    from thaw.analysis.clock import Clock

    clock = Clock()
    events = [(1, 10.0), (1, 30.0), (2, 1000.0), (2, 1005.0)]
    for session, time in events:
        clock.see({"session": session, "time": time})
    assert clock.seconds({"session": 2, "time": 1003.0}) == 23.0 and clock.total == 25.0
