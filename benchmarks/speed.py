"""Thaw against plain Ray Tune: the same trials, one arm after another in one run.

python -m benchmarks.speed --data ../shared/data/coco18 --weights ../shared/weights/mobilenet_v2-imagenet.pth
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.baselines import decoded_anew, run_baseline
from benchmarks.jobs import JOBS, Job, bound
from benchmarks.machine import Usage, machine, print_table
from benchmarks.photos import Bench, add_options, bench
from benchmarks.session import running_ray
from thaw.analysis.run import Run
from thaw.search.backends.ray.backend import RayBackend
from thaw.search.observers.tensorboard import TensorBoard
from thaw.search.prepare.preflight import prepare
from thaw.search.sessions.tuner import run_search
from thaw.search.settings.config import SearchConfig
from thaw.spaces import TrialConfig
from thaw.trainables.context import RunContext

# Imported before timing starts, so that the first arm does not pay for all arms.
_LOADED = (RayBackend, TensorBoard)

Rows = list[dict[str, float]]
"""The metrics of one trial by epoch."""


@dataclass
class Arm:
    """The cost and the results of one arm, one figure per repetition."""

    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    trials: list[Rows] = field(default_factory=list)

    def best(self) -> list[float]:
        """Best val_map of each trial."""
        return [max(row["val_map"] for row in rows) for rows in self.trials]


@dataclass(frozen=True)
class Setting:
    """One repetition of a job: everything that an arm needs.

    Args:
        search: builds a configuration from the names of arm and cache folder and the setting of `cache.activations`.
        configs: all trials.
        context: data and training conditions, with decoded images.
        cache: prefix of the cache folders that only this repetition uses.
    """

    bench: Bench
    search: Callable[[str, str, str], SearchConfig]
    configs: Sequence[TrialConfig]
    context: RunContext
    cache: str


def _thaw(arm: str, cache: str, activations: str) -> Callable[[Setting], list[Rows]]:
    def run(setting: Setting) -> list[Rows]:
        return _metrics(run_search(setting.search(arm, f"{setting.cache}-{cache}", activations)), setting.configs)

    return run


def _metrics(run: Run, configs: Sequence[TrialConfig]) -> list[Rows]:
    trials = {TrialConfig(**record.config).canonical(): record for record in run.records.values()}
    rows = [trials[config.canonical()].epochs for config in configs]
    return [[epochs[number]["metrics"] for number in sorted(epochs)] for epochs in rows]


def _baseline(name: str) -> Callable[[Setting], list[Rows]]:
    def run(setting: Setting) -> list[Rows]:
        bench, context = setting.bench, setting.context
        if name == "tuned":
            # It also decodes its images once, and that time is counted.
            context = decoded_anew(context, bench.work / "cache" / f"{setting.cache}-tuned")
        storage = bench.work / "runs" / f"{setting.cache}-{name}"
        histories = run_baseline(name, setting.configs, context, bench.device, bench.concurrency, storage)
        return [[{"val_map": value} for value in history] for history in histories]

    return run


ARMS: dict[str, Callable[[Setting], list[Rows]]] = {
    "thaw-cold": _thaw("thaw-cold", "thaw", "auto"),
    "thaw-warm": _thaw("thaw-warm", "thaw", "auto"),
    "thaw-live": _thaw("thaw-live", "live", "off"),
    "tuned": _baseline("tuned"),
    "tutorial": _baseline("tutorial"),
}
"""Arm → function that runs a job. ``thaw-warm`` uses the cache left by ``thaw-cold``, so it comes after it."""


def main(arguments: Sequence[str] | None = None) -> dict[str, Any]:
    """Run the benchmark; returns all figures as JSON values."""
    options = parse(arguments)
    with tempfile.TemporaryDirectory(prefix="thaw-speed-") as temporary:
        work = options.work or Path(temporary)
        work.mkdir(parents=True, exist_ok=True)
        common = bench(options, work)
        started = time.perf_counter()
        report: dict[str, Any] = {"machine": machine(), "options": {k: str(v) for k, v in vars(options).items()}}
        print("\n".join(f"{name}: {value}" for name, value in report["machine"].items()))
        with running_ray(common.concurrency):
            report["ray_start_seconds"] = time.perf_counter() - started
            print(f"Starting Ray took {report['ray_start_seconds']:.1f} s, which no arm's figures include.")
            report["jobs"] = {name: run_job(name, common, options) for name in options.jobs}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    return report


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip(), formatter_class=_Help)
    add_options(parser, images=None)
    jobs = ", ".join(f"{name} ({job.meaning})" for name, job in JOBS.items())
    parser.add_argument("--jobs", nargs="+", choices=JOBS, default=list(JOBS), help=f"{jobs}; default: all")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), help="default: all")
    parser.add_argument("--trials", type=int, help="only the first N of each job")
    parser.add_argument("--epochs", type=int, help="overrides the number of each job")
    parser.add_argument("--repeat", type=int, default=1, help="run all arms N times in turn; medians are shown")
    options = parser.parse_args(arguments)
    if "thaw-warm" in options.arms and "thaw-cold" not in options.arms:
        parser.error("--arms: thaw-warm needs thaw-cold, which fills its cache; add thaw-cold")
    return options


class _Help(argparse.RawDescriptionHelpFormatter):
    """Shows the description as written in the file."""


def run_job(name: str, bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """Run all arms of one job, interleaved, and print its tables."""
    job = JOBS[name]
    arms = {arm: Arm() for arm in ARMS if arm in options.arms}
    for repetition in range(options.repeat):
        setting = _setting(name, job, bench, options, repetition)
        for arm, result in arms.items():
            with Usage() as usage:
                result.trials = ARMS[arm](setting)
            result.wall.append(usage.wall)
            result.cpu.append(usage.cpu)
            print(
                f"{name} {repetition + 1}/{options.repeat}: {arm} {usage.wall:.1f} s, CPU {usage.cpu:.1f} s", flush=True
            )
    fresh = not setting.context.augment.is_identity
    limit = bound(setting.configs, setting.context.split, bench.image_size, fresh)
    _print_job(name, job, setting, arms, limit)
    same = identical(arms)
    return {
        "bound": limit,
        "identical_to_live": same,
        "configs": [config.model_dump() for config in setting.configs],
        "images": {"train": len(setting.context.split.train), "validation": len(setting.context.split.validation)},
        "arms": {arm: {"wall": a.wall, "cpu": a.cpu, "trials": a.trials} for arm, a in arms.items()},
    }


def _setting(name: str, job: Job, bench: Bench, options: argparse.Namespace, repetition: int) -> Setting:
    epochs = options.epochs or job.epochs
    place = f"{name}-{repetition}"

    def search(arm: str, cache: str, activations: str) -> SearchConfig:
        return bench.config(
            f"{place}-{arm}",
            cache,
            # As the tutorial's transforms scale images, so that all arms see the same pixels.
            data={"augment": job.augment, "interpolation": "bilinear", "crop_pct": 1},
            space=job.space,
            training={**job.training, "epochs": epochs, "patience": 0, "architecture": bench.architecture},
            search={"trials": options.trials},
            cache={"activations": activations},
        )

    config = search("setup", "setup", "off")
    cells = config.search_space.grid()[: config.trials]
    configs = [config.search_space.config(cell) for cell in cells]
    return Setting(bench, search, configs, prepare(config).context, place)


def identical(arms: dict[str, Arm]) -> bool | None:
    """Whether all metrics of all epochs of all trials are bit-identical with and without stored activations."""
    stored = [arms[arm].trials for arm in ("thaw-cold", "thaw-warm") if arm in arms]
    return all(trials == arms["thaw-live"].trials for trials in stored) if "thaw-live" in arms and stored else None


def _print_job(name: str, job: Job, setting: Setting, arms: dict[str, Arm], limit: float) -> None:
    walls = {arm: median(result.wall) for arm, result in arms.items()}
    cpus = {arm: median(result.cpu) for arm, result in arms.items()}

    def ratio(times: dict[str, float], baseline: str, arm: str) -> float | None:
        return times[baseline] / times[arm] if baseline in times else None

    rows = []
    for arm, result in arms.items():
        ratios = [ratio(times, baseline, arm) for baseline in ("tuned", "tutorial") for times in (walls, cpus)]
        rows.append([arm, walls[arm], cpus[arm], *ratios, max(result.best())])
    split, trials = setting.context.split, setting.configs
    print_table(
        f"{name}: {job.meaning}; {len(trials)} trials x {trials[0].epochs} epochs, {len(split.train)} training and "
        f"{len(split.validation)} validation images. In theory, reuse can save at most a factor of {limit:.1f}.",
        ["arm", "wall s", "CPU s", "wall x tuned", "CPU x tuned", "wall x tutorial", "CPU x tutorial", "best val_map"],
        rows,
    )
    figures = zip(*(result.best() for result in arms.values()), strict=True)
    varied = [f"depth {c.freeze_depth}, rate {c.learning_rate:g}, dropout {c.dropout:g}" for c in trials]
    table = [[config, *values] for config, values in zip(varied, figures, strict=True)]
    print_table("Best val_map of each trial", ["trial", *arms], table)
    same = identical(arms)
    if same is not None:
        verdict = "bit-identical" if same else "NOT EQUAL"
        print(f"All metrics of all epochs, stored activations against live ones: {verdict}.")
    if "tuned" in arms and (ours := [result for arm, result in arms.items() if arm.startswith("thaw")]):
        print(f"Largest difference of val_map to tuned in any epoch: {_difference(ours[0], arms['tuned']):.2g}")


def _difference(a: Arm, b: Arm) -> float:
    pairs = zip(a.trials, b.trials, strict=True)
    return max(abs(x["val_map"] - y["val_map"]) for one, two in pairs for x, y in zip(one, two, strict=True))


if __name__ == "__main__":
    main()
