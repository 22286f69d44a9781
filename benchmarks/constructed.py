"""Write constructed tables, whose best configuration is known, on which searches can be replayed.

python -m benchmarks.constructed tables --first 16 --count 8
python -m benchmarks.replay tables/*.csv --arms tpe+median auto+median --cost stored --seeds 8 --shallowest 0

Each table has the columns of :mod:`benchmarks.table` that replay needs: 220 configurations of two networks, 6 epochs.
A configuration's final value falls off from that of the best freeze depth, with the square of the log learning rates of
head and backbone, and by noise. It is approached exponentially: by heads in about an epoch, by thawed networks the
later, the more is thawed and the smaller the learning rate is. Tables differ in which depth is best (heads in a quarter
of them), in all slopes and in the noise.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.table import SPACE

EPOCHS = 6
KINDS = ("heads", "middle", "deep", "middle", "heads", "deep", "middle", "deep")
"""What is best in table n, in turn: heads alone, freeze depth 3 or 4, or depth 0 to 2."""

EPOCH_SECONDS = {5: 0.05, 4: 1.0, 3: 1.7, 2: 2.4, 1: 3.0, 0: 3.6}
PREFIX_SECONDS = {5: 4.0, 4: 3.5, 3: 3.0, 2: 2.2, 1: 1.2, 0: 0.0}


def constructed(number: int) -> pd.DataFrame:
    """Table `number`, from 0; always the same."""
    rng = np.random.default_rng(1000 + number)
    middle, deep = int(rng.choice([3, 4])), int(rng.choice([0, 1, 2]))
    best_depth = {"heads": 5, "middle": middle, "deep": deep}[KINDS[number % len(KINDS)]]
    step = rng.uniform(0.01, 0.03) / 2
    second = rng.choice([0.0, 0.01, 0.03, -0.02])  # the second network relative to the first
    base = rng.uniform(0.5, 0.9)
    heads_lose = rng.uniform(0.005, 0.04)
    noise, epoch_noise = rng.uniform(0.002, 0.008), rng.uniform(0.002, 0.005)
    # Decimal logarithms of the best learning rates of head and backbone.
    best_head, best_backbone = rng.uniform(-2.9, -2.1), rng.uniform(-3.9, -3.1)
    slowness = rng.uniform(0.8, 1.6)
    rows = []
    for (position, network), depth, rate, dropout in product(
        enumerate(SPACE["architecture"]), SPACE["freeze_depth"], SPACE["learning_rate"], SPACE["dropout"]
    ):
        for scale in SPACE["backbone_lr_scale"] if depth < 5 else [1.0]:
            head, backbone = math.log10(rate), math.log10(rate * scale)
            top = base + position * second - abs(depth - best_depth) * step
            if depth == 5:
                top -= (heads_lose if best_depth != 5 else 0.0) + 0.012 * (head - best_head) ** 2
                gap, epochs = 0.3, 0.5 + 1.2 * max(0.0, -2.8 - head)
            else:
                top -= 0.006 * (head - best_head) ** 2
                top -= 0.022 * (backbone - best_backbone) ** 2 * (1 + 0.1 * (4 - depth))
                gap, epochs = 0.45, slowness * (1.2 + 0.2 * (4 - depth) + 0.9 * max(0.0, -3.3 - backbone))
            top += 0.004 * (dropout > 0) + rng.normal(0, noise)
            cost = (1.0, 1.7)[position]
            for epoch in range(1, EPOCHS + 1):
                value = top - gap * math.exp(-epoch / epochs) + rng.normal(0, epoch_noise)
                rows.append(
                    {
                        "seed": 0,
                        "architecture": network,
                        "freeze_depth": depth,
                        "learning_rate": rate,
                        "dropout": dropout,
                        "backbone_lr_scale": scale,
                        "epoch": epoch,
                        "val_loss": 1 - value,
                        "val_map": round(value, 5),
                        "prefix": PREFIX_SECONDS[depth] * cost if epoch == 1 else 0.0,
                        "train": EPOCH_SECONDS[depth] * cost,
                        "validate": 0.0,
                        "processor": EPOCH_SECONDS[depth] * cost,
                    }
                )
    return pd.DataFrame(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="where the tables are written")
    parser.add_argument("--first", type=int, default=0, help="number of the first table (default: %(default)s)")
    parser.add_argument("--count", type=int, default=8, help="of tables (default: %(default)s)")
    options = parser.parse_args(arguments)
    options.folder.mkdir(parents=True, exist_ok=True)
    for number in range(options.first, options.first + options.count):
        constructed(number).to_csv(options.folder / f"constructed-{number:02d}.csv", index=False)


if __name__ == "__main__":
    main()
