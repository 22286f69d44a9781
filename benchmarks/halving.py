"""Two variants of successive halving on the same configurations: trials stop at a rung, or wait for promotion.

python -m benchmarks.halving

Uses the built-in digits, the head of a frozen network on stored activations, and random search. Proposals depend only
on seed and trial number, so each rule gets the same configurations; `none` trains all of them to the end.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean

import yaml

from benchmarks.machine import machine, print_table
from benchmarks.session import running_ray
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import load_config
from thaw.spaces import best_epoch

RULES = ("asha", "asha_promotion", "none")
CONCURRENCY = 2


def search(rule: str, seed: int, trials: int, epochs: int, work: Path) -> tuple[int, float, int]:
    """Run one search; returns epochs spent, best val_map, and the number of trials that reached the last epoch."""
    content = {
        "name": f"{rule}-{seed}",
        "data": {"builtin": "digits", "image_size": 64, "augment": "none"},
        "space": {
            "learning_rate": {"log": [1e-5, 3e-2]},
            "weight_decay": {"log": [1e-6, 1e-1]},
            "dropout": {"float": [0.0, 0.7]},
            "head_units": [0, 64, 512],
        },
        "training": {"architecture": "efficientnet_lite0", "freeze_depth": 5, "epochs": epochs, "patience": 0},
        "search": {"algorithm": "random", "trials": trials, "seed": seed, "concurrency": CONCURRENCY},
        "scheduler": {"type": rule, "grace_period": 1, "reduction_factor": 3},
        "cache": {"directory": str(work / "cache")},
        "checkpoints": {"keep": 0},
        "output": str(work),
    }
    file = work / "search.yaml"
    file.write_text(yaml.safe_dump(content))
    run = run_search(load_config(file))
    values = [record.values(run.metric) for record in run.records.values()]
    best = max(series[best_epoch(series, run.metric)] for series in values)
    return sum(map(len, values)), best, sum(len(series) == epochs for series in values)


def main(arguments: Sequence[str] | None = None) -> list[list[object]]:
    """Run the comparison; returns the rows of the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5, help="default: 5")
    parser.add_argument("--trials", type=int, default=27, help="of each search; default: 27")
    parser.add_argument("--epochs", type=int, default=9, help="of the longest trials; default: 9")
    options = parser.parse_args(arguments)
    print_table("Machine", ["", ""], list(machine().items()))
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory(prefix="thaw-halving-") as work, running_ray(CONCURRENCY):
        for rule in RULES:
            found = [search(rule, seed, options.trials, options.epochs, Path(work)) for seed in range(options.seeds)]
            for seed, (spent, best, whole) in enumerate(found):
                rows.append([rule, seed, spent, best, whole])
            rows.append([rule, "mean", *(fmean(column) for column in zip(*found, strict=True))])
    print_table("Rules", ["rule", "seed", "epochs spent", "best val_map", "trained to the end"], rows)
    return rows


if __name__ == "__main__":
    main()
