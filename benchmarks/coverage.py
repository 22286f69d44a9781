"""Are confirmed values unbiased? Many small searches over heads, each confirmed, against a large locked test split.

python -m benchmarks.coverage --data ../shared/data/coco18 --weights ../shared/weights/mobilenet_v2-imagenet.pth

Each split seed splits the photos differently: most are locked away as the test split, so that the true quality of a
model is known almost exactly. On the others a random search runs and its leaders are confirmed with the code behind
`thaw confirm`, trained in this process by the plain loop (Ray gives the same results, but would restart its workers for
each of the many searches). The first seed also shows the results of each policy.

Average precision of a rare label is biased upwards on few images, whatever the model. So the test value is given twice:
on all test images, and as the mean over parts of them that are as large as a fold.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.special import expit

from benchmarks.machine import machine, print_table
from benchmarks.photos import Bench, add_options, bench
from thaw.search.confirmation.cross_validation import Leader, confirmation
from thaw.search.confirmation.out_of_fold import OutOfFold, gathered
from thaw.search.confirmation.plan import Plan, assign_folds
from thaw.search.prepare.preflight import Prepared, prepare
from thaw.spaces import METRICS, TrialConfig, best_epoch
from thaw.trainables.context import RunContext
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.data.splits import Split
from thaw.trainables.evaluation.bootstrap import bootstrap
from thaw.trainables.evaluation.label_sets import fit_label_rule
from thaw.trainables.evaluation.metrics import epoch_metrics
from thaw.trainables.evaluation.policies import GROUPS, METRIC_NAMES, PolicyFigures, policy_figures
from thaw.trainables.messages import Failure, Fold
from thaw.trainables.training.loop import Training

SPACE = {
    "learning_rate": {"log": [1e-4, 1e-2]},
    "weight_decay": {"log": [1e-6, 1e-2]},
    "dropout": {"float": [0.0, 0.6]},
    "head_units": [0, 128, 512],
}
METRIC = "val_map"


def trained(config: TrialConfig, context: RunContext, images: ImageStore) -> tuple[Training, dict[int, float]]:
    """Train a trial to its end; returns it, and its values of the objective by epoch."""
    training = Training(config, context, images, torch.device("cpu"))
    values: dict[int, float] = {}
    while True:
        row = training.epoch()
        if isinstance(row, Failure):
            raise SystemExit(row.reason)
        values[row.epoch] = row.metrics[METRIC]
        if row.finished:
            return training, values


def searched(prepared: Prepared, images: ImageStore, trials: int, top: int) -> list[Leader]:
    """The leaders of a random search, best first."""
    space = prepared.config.search_space
    rng = random.Random(prepared.config.search.seed)
    leaders = []
    for number in range(trials):
        config = space.config(space.sample(rng))
        _, values = trained(config, prepared.context, images)
        epoch = best_epoch(values, METRIC)
        leaders.append(Leader(number, config.model_dump(), epoch, values[epoch], []))
    return sorted(leaders, key=lambda leader: -leader.search_value)[:top]


def confirmed(prepared: Prepared, images: ImageStore, plan: Plan) -> tuple[dict[str, Any], dict[int, OutOfFold]]:
    """The result that `thaw confirm` would give, and each leader's out-of-fold predictions."""
    context = replace(prepared.context, folds=assign_folds(prepared, plan))
    values: dict[int, list[float]] = {leader.trial: [] for leader in plan.leaders}
    parts: dict[int, list[OutOfFold]] = {leader.trial: [] for leader in plan.leaders}
    for task in plan.tasks():
        on = context.on(task.fold)
        training, series = trained(TrialConfig(**task.config), on, images)
        values[task.leader].append(series[task.fold.epochs])
        parts[task.leader].append(OutOfFold(training.validation_logits.numpy(), on.split.validation))
    leaders = [replace(leader, values=values[leader.trial]) for leader in plan.leaders]
    found = confirmation(leaders, METRICS["map"], plan.folds)
    return found, {trial: gathered(own) for trial, own in parts.items()}


def tested(prepared: Prepared, images: ImageStore, leader: dict[str, Any]) -> tuple[float, np.ndarray]:
    """The objective and the logits on the locked test split, for the model that would be exported."""
    split = prepared.context.split
    # As if the test images were the held-out fold: they are evaluated once, after the last epoch.
    locked = replace(prepared.context, folds=((Split(split.train, split.test, split.test),),))
    on = locked.on(Fold(0, 0, leader["epochs"]))
    training, values = trained(TrialConfig(**leader["config"]), on, images)
    return values[leader["epochs"]], training.validation_logits.numpy()


def experiment(prepared: Prepared, trials: int, top: int, folds: int) -> tuple[dict[str, Any], list[PolicyFigures]]:
    """One split seed: search, confirm, evaluate on the locked test split."""
    images = prepared.images
    leaders = searched(prepared, images, trials, top)
    found, predictions = confirmed(prepared, images, Plan(folds, 1, tuple(leaders)))
    chosen, best = found["leaders"][0], leaders[0]
    test, logits = tested(prepared, images, chosen)
    best_test = test
    if best.trial != chosen["trial"]:
        best_test, _ = tested(prepared, images, {"config": best.config, "epochs": best.epochs})
    labels = prepared.dataset.labels
    own = predictions[chosen["trial"]]
    figures = policy_figures(fit_label_rule(own.logits, labels[own.rows]), logits, labels[prepared.context.split.test])
    low, high = chosen["interval"]
    parts = _mean_over_parts(logits, labels[prepared.context.split.test], len(labels[own.rows]) // folds)
    pooled = bootstrap(expit(own.logits), own.logits >= 0, labels[own.rows], names=("map",))["map"]
    return {
        "search": best.search_value,
        "search_test": best_test,
        "confirmed": chosen["mean"],
        "low": low,
        "high": high,
        "shrinkage": found["shrinkage"],
        "test": test,
        "test_parts": parts,
        "pooled": asdict(pooled),
    }, figures


def _mean_over_parts(logits: np.ndarray, targets: np.ndarray, size: int) -> float:
    """Mean average precision on random parts of `size` images, averaged over the parts."""
    order = np.random.default_rng(0).permutation(len(targets))
    parts = np.array_split(order, len(targets) // size)
    tensors = [(torch.from_numpy(logits[part]).sigmoid(), torch.from_numpy(targets[part])) for part in parts]
    return float(np.mean([epoch_metrics(*pair)["map"] for pair in tensors]))


def print_outcome(rows: Sequence[dict[str, Any]]) -> None:
    columns = [
        "seed",
        "search's best",
        "its test",
        "chosen: confirmed",
        "95 % interval",
        "test in parts",
        "test",
        "pooled",
    ]
    table = [
        [
            *(str(seed), row["search"], row["search_test"], row["confirmed"], f"{row['low']:.3f} – {row['high']:.3f}"),
            *(row["test_parts"], row["test"]),
            f"{row['pooled']['value']:.3f} ({row['pooled']['low']:.3f} – {row['pooled']['high']:.3f})",
        ]
        for seed, row in enumerate(rows)
    ]
    print_table(f"{METRIC} by split seed", columns, table)
    for name, error in (
        ("search's best minus its test value", [row["search"] - row["search_test"] for row in rows]),
        ("search's best minus its confirmed mean", [row["shrinkage"] for row in rows]),
        ("confirmed minus test in parts", [row["confirmed"] - row["test_parts"] for row in rows]),
        ("confirmed minus test", [row["confirmed"] - row["test"] for row in rows]),
        ("pooled minus test", [row["pooled"]["value"] - row["test"] for row in rows]),
    ):
        print(f"{name}: {np.mean(error):+.4f} on average, {min(error):+.4f} to {max(error):+.4f}")
    for name, inside in (
        (
            "test in parts inside the confirmed interval",
            [row["low"] <= row["test_parts"] <= row["high"] for row in rows],
        ),
        ("test inside the confirmed interval", [row["low"] <= row["test"] <= row["high"] for row in rows]),
        (
            "test inside the pooled interval",
            [row["pooled"]["low"] <= row["test"] <= row["pooled"]["high"] for row in rows],
        ),
    ):
        print(f"{name}: {sum(inside)} of {len(rows)}")


def print_policies(figures: Sequence[PolicyFigures]) -> None:
    columns = ["policy", "images", "labels predicted (true)", "none predicted", "too many", *METRIC_NAMES]
    table = [
        [f.policy, GROUPS[f.group], f"{f.given_labels:.2f} ({f.true_labels:.2f})", f"{f.none:.1%}", f"{f.more:.1%}"]
        + [
            f"{f.metrics[name].value:.3f} ({f.metrics[name].low:.3f} – {f.metrics[name].high:.3f})"
            for name in METRIC_NAMES
        ]
        for f in sorted(figures, key=lambda figure: list(GROUPS).index(figure.group))
    ]
    print_table("Results of each policy on the locked test images, seed 0", columns, table)


def _prepared(setup: Bench, seed: int, locked: float, epochs: int) -> Prepared:
    config = setup.config(
        f"seed-{seed}",
        "cache",
        # A fifth of the images that are not locked validates.
        data={"split": {"seed": seed, "test": locked, "validation": round(0.2 * (1 - locked), 4)}},
        space=SPACE,
        training={"freeze_depth": 5, "epochs": epochs, "patience": 3, "batch_size": 64},
        search={"algorithm": "random", "seed": seed, "metric": METRIC},
    )
    return prepare(config)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, images=None)
    parser.add_argument("--seeds", type=int, default=10, help="(default: %(default)s)")
    parser.add_argument("--trials", type=int, default=12, help="of each search (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=8, help="(default: %(default)s)")
    parser.add_argument("--top", type=int, default=3, help="(default: %(default)s)")
    parser.add_argument("--folds", type=int, default=5, help="(default: %(default)s)")
    parser.add_argument(
        "--locked", type=float, default=0.625, help="share of the images for the test split (default: %(default)s)"
    )
    options = parser.parse_args()
    print(json.dumps(machine(), indent=2))
    with tempfile.TemporaryDirectory() as folder:
        setup = bench(options, options.work or Path(folder))
        rows: list[dict[str, Any]] = []
        policies: list[PolicyFigures] = []
        for seed in range(options.seeds):
            started = time.perf_counter()
            prepared = _prepared(setup, seed, options.locked, options.epochs)
            row, figures = experiment(prepared, options.trials, options.top, options.folds)
            rows.append(row)
            policies = policies or figures
            print(f"seed {seed}: {time.perf_counter() - started:.0f} s", flush=True)
            if options.json:
                figures_so_far = {"rows": rows, "policies": [asdict(figure) for figure in policies]}
                options.json.write_text(json.dumps(figures_so_far, indent=2))
    print_outcome(rows)
    print_policies(policies)


if __name__ == "__main__":
    main()
