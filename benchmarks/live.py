"""Thaw's default search against plain Ray Tune with Optuna's TPE, live: seconds until the same validation mAP.

python -m benchmarks.live --data coco18 --images 500 --image-size 96 --weights mobilenet_v2-imagenet.pth --plot live.png

All arms search the same space with the same numbers of trials, epochs and workers, one after another under one Ray,
whose start is not counted. Thaw runs with its default algorithm and scheduler and an empty cache: decoding the images
and computing activations count. Plain Ray Tune is the tuned baseline (:mod:`benchmarks.baselines`), with ASHA and
without; it decodes its images once, which counts, too.

Printed for each arm: its best value, what the whole search took, and the seconds until a value came within 0.005 of the
best of all arms, and of the best that plain Ray Tune ended with. With several seeds, these are medians, and a search
that never gets there counts as infinitely long.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.baselines import decoded_anew, search_baseline
from benchmarks.machine import Usage, machine, print_table
from benchmarks.photos import Bench, add_options, bench
from benchmarks.session import running_ray
from thaw.analysis.records import TrialRecord
from thaw.search.backends.ray.backend import RayBackend
from thaw.search.engine.observers import Observer
from thaw.search.observers.tensorboard import TensorBoard
from thaw.search.prepare.preflight import prepare
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import SearchConfig
from thaw.trainables.context import RunContext

# Imported before timing starts, so that the first arm does not pay for all arms.
_LOADED = (RayBackend, TensorBoard)

SPACE: dict[str, dict[str, list[Any]]] = {
    "freeze_depth": {"int": [0, 5]},
    "learning_rate": {"log": [1e-4, 1e-2]},
    "backbone_lr_scale": {"log": [0.1, 1.0]},
}
TOLERANCE = 0.005


@dataclass
class Search:
    """One search of one arm.

    Attributes:
        curve: (wall seconds, processor seconds, best val_map so far) at each improvement.
        epochs: number of trained epochs.
        wall, cpu: seconds of the whole search.
    """

    curve: list[tuple[float, float, float]] = field(default_factory=list)
    epochs: int = 0
    wall: float = 0.0
    cpu: float = 0.0

    @property
    def best(self) -> float:
        return self.curve[-1][2]

    def note(self, value: float, usage: Usage) -> None:
        """Another epoch has ended with this value."""
        self.epochs += 1
        if not self.curve or value > self.best:
            self.curve.append((*usage.so_far(), value))

    def reached(self, value: float) -> tuple[float, float]:
        """Wall and processor seconds until this value."""
        return next(((wall, cpu) for wall, cpu, best in self.curve if best >= value), (math.inf, math.inf))


@dataclass(frozen=True)
class Setting:
    """What the arms of one seed share.

    Args:
        name: distinguishes the folders of this seed.
        trials, epochs: the budget of a search.
    """

    bench: Bench
    name: str
    trials: int
    epochs: int

    def config(self, arm: str) -> SearchConfig:
        """The search file of Thaw, with nothing but its defaults for proposing and stopping."""
        return self.bench.config(
            f"{self.name}-{arm}",
            f"{self.name}-{arm}",
            space=SPACE,
            training={"epochs": self.epochs},
            search={"algorithm": None, "trials": self.trials},
            scheduler={"type": None},
        )


Arrived = Callable[[float], None]
"""Called with the validation mAP of each epoch of each trial."""


class _Epochs(Observer):
    def __init__(self, arrived: Arrived) -> None:
        self.arrived = arrived

    def epoch(self, record: TrialRecord, event: Mapping[str, Any]) -> None:
        self.arrived(event["metrics"]["val_map"])


def _thaw(setting: Setting, context: RunContext, arrived: Arrived) -> None:
    run_search(setting.config("thaw"), observers=[_Epochs(arrived)])


def _ray(asha: bool) -> Callable[[Setting, RunContext, Arrived], None]:
    def run(setting: Setting, context: RunContext, arrived: Arrived) -> None:
        common, name = setting.bench, f"{setting.name}-ray-{'asha' if asha else 'none'}"
        config = setting.config("ray")
        fixed = config.search_space.config(
            {key: limits[0] for key, kinds in SPACE.items() for limits in kinds.values()}
        )
        search_baseline(
            name,
            fixed,
            SPACE,
            setting.trials,
            decoded_anew(context, common.work / "cache" / name),
            common.device,
            common.concurrency,
            common.work / "ray",
            asha=asha,
            arrived=arrived,
        )

    return run


ARMS: dict[str, Callable[[Setting, RunContext, Arrived], None]] = {
    "thaw": _thaw,
    "ray-tpe": _ray(asha=False),
    "ray-tpe-asha": _ray(asha=True),
}
"""Arm → function that searches, from the setting and the data and training conditions, with decoded images."""


def run_seed(setting: Setting) -> dict[str, Search]:
    """Run all arms with one seed."""
    context, searches = prepare(setting.config("setup")).context, {}
    for arm, run in ARMS.items():
        search = searches[arm] = Search()
        with Usage() as usage:
            run(setting, context, lambda value, search=search, usage=usage: search.note(value, usage))  # type: ignore[misc]
        search.wall, search.cpu = usage.wall, usage.cpu
        print(
            f"{setting.name}, {arm}: val_map {search.best:.4f} in {search.wall:.1f} s, {search.epochs} epochs",
            flush=True,
        )
    return searches


def targets(searches: Mapping[str, Search]) -> tuple[float, float]:
    """The targets: the best of all arms, and the best of plain Ray Tune, both less the tolerance."""
    best = [max(s.best for arm, s in searches.items() if arm.startswith(start)) for start in ("", "ray")]
    return best[0] - TOLERANCE, best[1] - TOLERANCE


def summary(seeds: Sequence[Mapping[str, Search]]) -> dict[str, list[float | None]]:
    """Arm → medians of best value, epochs, wall and processor seconds, and both kinds of seconds to both targets.

    A median is None if half of the searches have not got there.
    """
    figures = {}
    for arm in ARMS:
        rows = []
        for searches in seeds:
            s, (best, rays) = searches[arm], targets(searches)
            rows.append([s.best, s.epochs, s.wall, s.cpu, *s.reached(best), *s.reached(rays)])
        medians = np.quantile(np.array(rows), 0.5, axis=0, method="inverted_cdf").tolist()
        figures[arm] = [value if math.isfinite(value) else None for value in medians]
    return figures


def speedup(figures: Mapping[str, Sequence[float | None]]) -> float | None:
    """Median wall seconds of the fastest arm of plain Ray Tune to Ray's best value, in those of Thaw."""
    column = COLUMNS.index("wall s to Ray's")
    thaw, *others = (row[column] for row in figures.values())
    known = [seconds for seconds in others if seconds is not None]
    return min(known) / thaw if known and thaw is not None else None


COLUMNS = [
    "val_map",
    "epochs",
    "wall s",
    "CPU s",
    "wall s to best",
    "CPU s to best",
    "wall s to Ray's",
    "CPU s to Ray's",
]


def plot(seeds: Sequence[Mapping[str, Search]], file: Path) -> None:
    """Plot the best value so far over wall time: one colour per arm, one line per seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    for number, arm in enumerate(ARMS):
        for position, searches in enumerate(seeds):
            search = searches[arm]
            times, _, values = zip(*search.curve, strict=True)
            axes.step(
                [*times, search.wall],
                [*values, search.best],
                where="post",
                color=f"C{number}",
                label=None if position else arm,
            )
    axes.set(xscale="log", xlabel="wall seconds", ylabel="best val_map so far", title="The same search, live")
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the check; returns all figures as JSON values."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, images=500)
    parser.add_argument("--trials", type=int, default=16, help="trials per search (default: %(default)s)")
    parser.add_argument("--epochs", type=int, default=5, help="epochs per trial (default: %(default)s)")
    parser.add_argument("--seeds", type=int, default=1, help="searches per arm, from --seed on (default: %(default)s)")
    parser.add_argument("--plot", type=Path, help="file for a plot of the best value over wall time")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="thaw-live-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        common = bench(options, work)
        seeds = []
        with running_ray(common.concurrency):
            for seed in range(options.seed, options.seed + options.seeds):
                setting = Setting(replace(common, seed=seed), f"seed-{seed}", options.trials, options.epochs)
                seeds.append(run_seed(setting))
    figures = summary(seeds)
    print_table(
        f"{options.trials} trials x {options.epochs} epochs of {options.images} images of {options.image_size} px, "
        f"{common.concurrency} workers, {options.seeds} seeds: seconds to within {TOLERANCE} of the best, and of Ray's",
        ["arm", *COLUMNS],
        [[arm, *row] for arm, row in figures.items()],
    )
    factor = speedup(figures)
    print(
        f"To Ray's best value, Thaw takes 1/{factor:.1f} of the wall time."
        if factor
        else "Not reached in half of them."
    )
    report = {
        "machine": machine(),
        "options": {key: str(value) for key, value in vars(options).items()},
        "columns": COLUMNS,
        "medians": figures,
        "speedup": factor,
        "seeds": [{arm: asdict(search) for arm, search in searches.items()} for searches in seeds],
    }
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.plot:
        plot(seeds, options.plot)
    return report


if __name__ == "__main__":
    main()
