"""Replay searches on recorded tables: the real engine proposes, stops and logs, and nothing is trained.

python -m benchmarks.replay benchmarks/tables/photos-a.csv --arms tpe+asha random+none auto+auto

A trial's values are those of the nearest recorded configuration, epoch by epoch, and its seconds are the median
processor seconds of its architecture and freeze depth. Workers are simulated. There are two cost models: with `stored`,
the first trial of an architecture and depth pays for the frozen part, once; with `live`, every trial pays for it in
every epoch, as in plain Ray Tune. An arm is `algorithm+scheduler`, as in the search file.

Printed for each arm: in how many searches the best value came within the tolerance of the table's best, the median and
the quartiles of the simulated seconds until then (a search that never gets there counts as infinitely long), and the
processor milliseconds per proposal.
"""

from __future__ import annotations

import argparse
import heapq
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.machine import print_table
from thaw.search.engine.proposals import Proposer
from thaw.search.engine.proposers import build_proposer
from thaw.search.engine.rules import RULES, Rule
from thaw.search.engine.state import SearchState
from thaw.search.settings.config import SearchConfig
from thaw.spaces import Value, metric
from thaw.trainables.messages import EpochRow, Failure, Report

SPACE = ("architecture", "freeze_depth", "learning_rate", "dropout", "backbone_lr_scale")
METRIC = "val_map"
TOLERANCES = (0.005, 0.002)
"""Distances from the table's best that count as reached; the table's own noise is a third one."""

TRIALS = 60


class Table:
    """A recorded table.

    Args:
        file: the file, written by :mod:`benchmarks.table`.
        shallowest: smaller freeze depths are left out; None leaves out the incomplete ones.

    Attributes:
        epochs: number of epochs of every configuration.
        values: hyperparameter → its recorded values, in order.
        best: the best value of the objective.
        noise: standard deviation of a configuration's best value over seeds.
    """

    def __init__(self, file: Path, shallowest: int | None = None) -> None:
        rows = pd.read_csv(file)
        self.name, seed = file.stem, rows["seed"].iloc[0]
        repeated = rows[rows["seed"] != seed]
        columns = [name for name in rows if str(name).startswith("val_")]
        rows = rows[rows["seed"] == seed]
        cells = rows.groupby("freeze_depth")[list(SPACE)].apply(lambda part: len(part.drop_duplicates()))
        if shallowest is None:
            whole = cells[5] * rows["backbone_lr_scale"].nunique()
            shallowest = min(depth for depth in cells.index if all(cells[d] == whole for d in range(depth, 5)))
        rows = rows[rows["freeze_depth"] >= shallowest]
        self.epochs = int(rows["epoch"].max())
        self.values: dict[str, list[Any]] = {name: sorted(rows[name].unique().tolist()) for name in SPACE}
        self._cells = {
            key: part.sort_values("epoch")[columns].to_dict("records") for key, part in rows.groupby(list(SPACE))
        }
        self._seconds = _seconds(rows)
        self.best = float(rows[METRIC].max())
        names = list(SPACE)
        pair = [part.groupby(names)[METRIC].max() for part in (rows, repeated)]
        self.noise = float((pair[0] - pair[1]).std() / math.sqrt(2)) if len(repeated) else math.nan

    def __len__(self) -> int:
        return len(self._cells)

    def space(self) -> dict[str, Any]:
        """The `space` of a search file; learning rates and other numbers become ranges over the recorded values."""
        ranges = {"learning_rate": "log", "dropout": "float", "backbone_lr_scale": "log", "freeze_depth": "int"}
        return {
            name: {ranges[name]: [values[0], values[-1]]} if name in ranges else values
            for name, values in self.values.items()
            if len(values) > 1
        }

    def key(self, config: dict[str, Value]) -> tuple[Any, ...]:
        """The recorded configuration nearest to this one."""
        return tuple(_nearest(name, config[name], tuple(self.values[name]), config) for name in SPACE)

    def rows(self, config: dict[str, Value]) -> list[dict[str, float]]:
        """The metrics of every epoch of the configuration nearest to this one."""
        return self._cells[self.key(config)]

    def seconds(self, config: dict[str, Value]) -> tuple[float, float]:
        """Seconds of the frozen part over all images, and of one epoch of the trained part."""
        return self._seconds[config["architecture"], config["freeze_depth"]]

    def oracle(self, live: bool, tolerance: float) -> float:
        """Simulated seconds of a search whose only trial is the fastest that comes within the tolerance."""
        times = []
        for key, rows in self._cells.items():
            prefix, epoch = self._seconds[key[:2]]
            enough = [number for number, row in enumerate(rows, 1) if row[METRIC] >= self.best - tolerance]
            if enough:
                times.append(enough[0] * epoch + prefix * (enough[0] if live else 1))
        return min(times)


def _seconds(rows: pd.DataFrame) -> dict[tuple[Any, Any], tuple[float, float]]:
    """Processor seconds by architecture and depth: of the frozen part (once), and of an epoch of the rest."""
    result: dict[tuple[Any, Any], tuple[float, float]] = {}
    for key, part in rows.groupby(["architecture", "freeze_depth"]):
        result[key[0], key[1]] = float(part["prefix"].max()), float(part.loc[part["epoch"] > 1, "processor"].median())
    return result


@cache
def _closest(value: float, recorded: tuple[float, ...], log: bool) -> float:
    scale: Callable[[float], float] = math.log if log else float
    return min(recorded, key=lambda other: abs(scale(other) - scale(value)))


def _nearest(name: str, value: Value, recorded: tuple[Any, ...], config: dict[str, Value]) -> Any:
    if name == "architecture":
        return value
    if name == "backbone_lr_scale" and config["freeze_depth"] == 5:
        return 1.0
    return _closest(float(value), recorded, name in ("learning_rate", "backbone_lr_scale"))


@dataclass
class MemoryLog:
    """The event log of a simulated search, in memory and with simulated time."""

    session: int = 1
    now: float = 0.0
    writable: bool = True
    events: list[dict[str, Any]] = field(default_factory=list)

    def append(self, event: str, **fields: Any) -> dict[str, Any]:
        line = {"v": 1, "time": self.now, "session": self.session, "event": event, **fields}
        self.events.append(line)
        return line

    def close(self) -> None:
        """Does nothing: no file is open."""


def search_config(table: Table, algorithm: str, scheduler: str, seed: int, trials: int) -> SearchConfig:
    """The search file of a simulated search."""
    constants = {name: values[0] for name, values in table.values.items() if len(values) == 1}
    return SearchConfig.model_validate(
        {
            "name": "replay",
            "data": {"builtin": "digits"},
            "space": table.space(),
            "training": {**constants, "epochs": table.epochs, "patience": 0},
            "search": {"algorithm": algorithm, "trials": trials, "seed": seed, "metric": METRIC},
            "scheduler": {"type": scheduler},
        }
    )


Build = Callable[[SearchConfig], tuple[Proposer, Rule]]


def _named(config: SearchConfig) -> tuple[Proposer, Rule]:
    scheduler = config.scheduler
    longest = int(config.training["epochs"])
    rule = RULES[scheduler.type](metric(METRIC), longest, scheduler.grace_period, scheduler.reduction_factor)
    return build_proposer(config), rule


@dataclass(frozen=True)
class Outcome:
    """One simulated search.

    Args:
        curve: (simulated seconds, best value so far) at each improvement.
        end: simulated seconds of the whole search.
        proposing: processor seconds of all proposals.
        epochs: number of trained epochs.
    """

    curve: list[tuple[float, float]]
    end: float
    proposing: float
    epochs: int

    def reached(self, value: float) -> float:
        return next((seconds for seconds, best in self.curve if best >= value), math.inf)


def simulate(
    table: Table, config: SearchConfig, live: bool, workers: int, build: Build = _named
) -> tuple[Outcome, SearchState]:
    """Run one search on simulated workers."""
    log, (proposer, rule) = MemoryLog(), build(config)
    state = SearchState(METRIC, log, proposer, rule)  # type: ignore[arg-type]
    state.start_session()
    curve: list[tuple[float, float]] = []
    stored: set[tuple[Any, ...]] = set()
    queue: list[tuple[float, int, int, dict[str, float]]] = []  # end of an epoch, trial, epoch, seconds by phase
    proposing, epochs, idle = 0.0, 0, workers

    def train(number: int, epoch: int) -> None:
        trial = state.records[number].config
        prefix, rest = table.seconds(trial)
        key = (trial["architecture"], trial["freeze_depth"])
        paid = prefix if live or key not in stored else 0.0
        stored.add(key)
        # Computed live, the frozen part is not separated from the rest.
        phases = {"prefix": 0.0, "train": rest + paid} if live else {"prefix": paid, "train": rest}
        heapq.heappush(queue, (log.now + paid + rest, number, epoch, {**phases, "validate": 0.0}))

    while True:
        while idle:
            began = time.process_time()
            proposal = state.propose()
            proposing += time.process_time() - began
            if proposal is None:
                break
            idle -= 1
            train(proposal.trial, proposal.logged + 1)
        if not queue:
            break
        log.now, number, epoch, seconds = heapq.heappop(queue)
        metrics = table.rows(state.records[number].config)[epoch - 1]
        epochs += 1
        if math.isnan(metrics["val_loss"]):
            state.report(number, Report(Failure(epoch, "the training loss is not finite"), ""))
        else:
            finished = "max_epochs" if epoch == table.epochs else ""
            state.report(number, Report(EpochRow(epoch, metrics, [], 0.0, 0.0, seconds, 0, finished), ""))
            if not curve or metrics[METRIC] > curve[-1][1]:
                curve.append((log.now, metrics[METRIC]))
        if state.records[number].status == "running":
            train(number, epoch + 1)
        else:
            idle += 1
    state.finish()
    return Outcome(curve, log.now, proposing, epochs), state


@cache
def _table(file: Path, shallowest: int | None) -> Table:
    return Table(file, shallowest)


def summary(arm: str, outcomes: Sequence[Outcome], table: Table, trials: int) -> list[object]:
    """A row of the printed table."""
    row: list[object] = [arm]
    for tolerance in (*TOLERANCES, table.noise):
        times = np.array([outcome.reached(table.best - tolerance) for outcome in outcomes])
        quartiles = np.quantile(times, (0.25, 0.5, 0.75), method="inverted_cdf")
        row += [int(np.isfinite(times).sum()), *(f"{value:.0f}" for value in quartiles)]
    count = len(outcomes)
    row.append(f"{np.median([table.best - outcome.curve[-1][1] for outcome in outcomes]):.4f}")
    row += [f"{sum(o.end for o in outcomes) / count:.0f}", f"{sum(o.epochs for o in outcomes) / count:.0f}"]
    return [*row, f"{1000 * sum(o.proposing for o in outcomes) / count / trials:.1f}"]


PARTS = ("seeds", "q1", "median", "q3")
HEADER = [
    "arm",
    *(f"{part} {name}" for name in (*TOLERANCES, "noise") for part in PARTS),
    "regret",
    "end",
    "epochs",
    "ms",
]


def plot(curves: Mapping[str, Sequence[Outcome]], best: float, title: str, file: Path) -> None:
    """Plot the median regret over simulated seconds, one line per arm."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    end = max(outcome.end for outcomes in curves.values() for outcome in outcomes)
    times = np.geomspace(max(end / 2000, 1e-2), end, 400)
    for arm, outcomes in curves.items():
        regret = [[best - _best_at(outcome, moment) for moment in times] for outcome in outcomes]
        axes.plot(times, np.maximum(np.median(regret, axis=0), 1e-4), label=arm)
    axes.set(xscale="log", yscale="log", xlabel="simulated seconds", ylabel=f"median regret of {METRIC}", title=title)
    for tolerance in TOLERANCES:
        axes.axhline(tolerance, color="grey", linewidth=0.6, linestyle=":")
    axes.legend(fontsize=8)
    figure.savefig(file, dpi=110)


def _best_at(outcome: Outcome, moment: float) -> float:
    """The best value at that moment; before there is one, 0, the minimum of the objective."""
    return max((best for seconds, best in outcome.curve if seconds <= moment), default=0.0)


@dataclass(frozen=True)
class Setting:
    """The settings shared by the searches of one comparison.

    Args:
        file, shallowest: arguments of :class:`Table`.
        trials: trials per search.
        live: the cost model (see above).
        workers: number of simulated workers.
    """

    file: Path
    shallowest: int | None
    trials: int
    live: bool
    workers: int

    def outcome(self, arm: str, seed: int) -> Outcome:
        """One search of an arm."""
        table = _table(self.file, self.shallowest)
        algorithm, _, scheduler = arm.partition("+")
        config = search_config(table, algorithm, scheduler, seed, self.trials)
        return simulate(table, config, self.live, self.workers)[0]

    def outcomes(self, arms: Iterable[str], seeds: int, jobs: int) -> dict[str, list[Outcome]]:
        """Run every arm with every seed, in `jobs` processes."""
        with ProcessPoolExecutor(jobs) as pool:
            futures = {arm: [pool.submit(self.outcome, arm, seed) for seed in range(seeds)] for arm in arms}
            return {arm: [future.result() for future in results] for arm, results in futures.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Replay the arms and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="+", help="recorded tables")
    parser.add_argument("--arms", nargs="+", required=True, help="algorithm+scheduler")
    parser.add_argument("--shallowest", type=int, help="leave out smaller freeze depths (default: incomplete ones)")
    parser.add_argument("--seeds", type=int, default=20, help="searches per arm (default: %(default)s)")
    parser.add_argument("--trials", type=int, default=TRIALS, help="trials per search (default: %(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="simulated workers (default: %(default)s)")
    parser.add_argument("--cost", choices=("live", "stored"), nargs="+", default=["live", "stored"])
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--plot", type=Path, help="folder for a plot of regret over time for each table and cost model")
    options = parser.parse_args(arguments)
    for file, cost in product(options.table, options.cost):
        setting = Setting(file, options.shallowest, options.trials, cost == "live", options.workers)
        results = setting.outcomes(options.arms, options.seeds, options.jobs)
        table = _table(file, options.shallowest)
        bounds = ", ".join(f"{t}: {table.oracle(setting.live, t):.0f} s" for t in TOLERANCES)
        title = f"{table.name}, {cost}: {len(table)} configurations, best {table.best:.4f}, noise {table.noise:.4f}"
        rows = [summary(arm, outcomes, table, options.trials) for arm, outcomes in results.items()]
        print_table(f"{title}; {options.seeds} seeds, {options.workers} workers; oracle {bounds}", HEADER, rows)
        if options.plot:
            options.plot.mkdir(parents=True, exist_ok=True)
            plot(results, table.best, f"{table.name}, {cost}", options.plot / f"{table.name}-{cost}.png")


if __name__ == "__main__":
    main()
