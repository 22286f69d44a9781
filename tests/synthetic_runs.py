"""Run folders as a search writes them, without training: for plots, tables and reports of any size."""

from __future__ import annotations

import bisect
import heapq
import json
import math
import random
from pathlib import Path
from typing import Any

import yaml

from thaw.analysis.run import Run, load_run
from thaw.analysis.run_folder import RunFolder
from thaw.spaces import METRICS, SearchSpace, measured, metric

SPACE: dict[str, Any] = {
    "architecture": ["convnet", "mobilenet_v2", "resnet50"],
    "freeze_depth": {"int": [0, 5]},
    "learning_rate": {"log": [1e-5, 1e-2]},
    "weight_decay": {"log": [1e-6, 1e-2]},
    "dropout": {"float": [0.0, 0.6]},
    "optimizer": ["adamw", "sgd"],
}
COST = {"convnet": 1.0, "mobilenet_v2": 2.0, "resnet50": 6.0}
"""Seconds of an epoch in which everything is trained."""


def synthetic_run(
    folder: Path,
    trials: int = 30,
    *,
    epochs: int = 6,
    labels: int = 10,
    scheduler: str = "asha",
    objective: str = "val_map",
    space: dict[str, Any] | None = None,
    failures: float = 0.05,
    running: int = 0,
    workers: int = 2,
    seed: int = 0,
) -> Run:
    """Write a run folder and load it.

    Args:
        folder: created here.
        trials, epochs, labels: its size; `epochs` is the longest a trial trains.
        scheduler: asha or none.
        objective: the metric to optimise.
        space: as in a search file, instead of :data:`SPACE`.
        failures: share of trials that fail, some before and some after their first epoch.
        running: number of last trials that have not ended; if positive, neither has the session.
        workers: processes that train at the same time.
        seed: of everything random.
    """
    folder.mkdir(parents=True)
    place = RunFolder(folder)
    space = SPACE if space is None else space
    training = {"epochs": epochs}
    settings = {
        "name": folder.name,
        "weights": "imagenet",
        "space": space,
        "training": training,
        "search": {"algorithm": "random", "metric": objective, "trials": trials, "seed": seed},
        "scheduler": {"type": scheduler, "grace_period": 1, "reduction_factor": 3},
        "threshold": 0.5,
        "cache": {"directory": str(folder / "cache")},
    }
    place.search_file.write_text(yaml.safe_dump(settings, sort_keys=False))
    place.provenance_file.write_text(json.dumps(provenance_of(labels, seed), indent=2))
    events = _Events(SearchSpace.parse(space, training), settings, epochs, labels, failures, seed)
    with place.events_file.open("w", encoding="utf-8") as file:
        for event in events.replay(trials, trials - running, workers):
            file.write(json.dumps(event, separators=(",", ":")) + "\n")
    return load_run(folder)


class _Events:
    """The events of a search in the order of their times."""

    def __init__(
        self, space: SearchSpace, settings: dict[str, Any], epochs: int, labels: int, failures: float, seed: int
    ) -> None:
        self.space, self.epochs, self.labels, self.failures = space, epochs, labels, failures
        self.objective = settings["search"]["metric"]
        scheduler = settings["scheduler"]
        self.scheduler = scheduler["type"]
        self.rungs: dict[int, list[float]] = {3**k: [] for k in range(10) if 3**k < epochs}
        self.rng = random.Random(seed)

    def replay(self, trials: int, to_be_ended: int, workers: int) -> list[dict[str, Any]]:
        events = [self._event(0.0, "session_started", overrides={})]
        # (time when the worker is free, worker, trial or -1 for none yet, epochs done or -1 once the trial has ended)
        queue: list[tuple[float, int, int, int]] = [(1.0 + worker * 0.1, worker, -1, 0) for worker in range(workers)]
        configs: dict[int, dict[str, Any]] = {}
        time, started = 0.0, 0
        while queue:
            time, worker, trial, done = heapq.heappop(queue)
            if trial < 0 or done < 0:
                if started == trials:
                    continue
                trial, done = started, 0
                started += 1
                configs[trial] = self.space.config(self.space.sample(self.rng)).model_dump()
                events.append(
                    self._event(time, "trial_started", trial=trial, config=configs[trial], distributions={}, seed=trial)
                )
                if self.rng.random() < self.failures / 2:
                    reason = "the training loss became nan in epoch 1"
                    events.append(self._event(time, "trial_ended", trial=trial, status="failed", reason=reason))
                    heapq.heappush(queue, (time + 0.1, worker, trial, -1))
                    continue
                heapq.heappush(queue, (time + self._seconds(configs[trial]), worker, trial, 0))
                continue
            row = self._row(trial, configs[trial], done + 1, worker)
            status, reason = self._fate(trial, row)
            row["decision"] = {"": "continue", "pruned": "stop"}.get(status, "finish")
            events.append(self._event(time, "epoch", **row, reason=reason))
            if not status:
                heapq.heappush(queue, (time + self._seconds(configs[trial]), worker, trial, done + 1))
                continue
            if trial < to_be_ended:
                events.append(self._event(time, "trial_ended", trial=trial, status=status, reason=reason))
            heapq.heappush(queue, (time + 0.1, worker, trial, -1))
        if to_be_ended == trials:
            events.append(self._event(time, "session_ended", reason="done", seconds=round(time, 3)))
        return events

    def _event(self, time: float, event: str, **fields: Any) -> dict[str, Any]:
        return {"v": 1, "time": round(1.7e9 + time, 3), "session": 1, "event": event, **fields}

    def _seconds(self, config: dict[str, Any]) -> float:
        thawed = 1 - config["freeze_depth"] / 6
        return COST.get(config["architecture"], 3.0) * (0.1 + thawed) * self.rng.uniform(0.9, 1.1)

    def _fate(self, trial: int, row: dict[str, Any]) -> tuple[str, str]:
        if self.rng.random() < self.failures / 4:
            return "failed", f"the training loss became nan in epoch {row['epoch'] + 1}"
        if self.scheduler == "asha" and (reason := self._stopped(row["epoch"], row["metrics"][self.objective])):
            return "pruned", reason
        if row["epoch"] >= self.epochs:
            return "completed", "max_epochs"
        return ("early_stopped", "patience") if self.rng.random() < 0.02 else ("", "")

    def _stopped(self, epoch: int, value: float) -> str:
        """ASHA's rule, as in ``search/engine/rules.py``, with sorted rungs: there may be thousands of trials."""
        if epoch not in self.rungs:
            return ""
        rung = self.rungs[epoch]
        signed = -value if metric(self.objective).maximize else value
        rank = 1 + bisect.bisect_left(rung, signed)
        bisect.insort(rung, signed)
        keep = max(1, len(rung) // 3)
        return (
            "" if rank <= keep else f"rank {rank} of {len(rung)} at the rung of epoch {epoch}, the best {keep} went on"
        )

    def _row(self, trial: int, config: dict[str, Any], epoch: int, worker: int) -> dict[str, Any]:
        """A surface with an optimum: learning rate 1e-3, shifted by depth, and thawing half of the network."""
        ideal = -3.4 + 0.15 * config["freeze_depth"]
        distance = (math.log10(config["learning_rate"]) - ideal) ** 2 / 2 + 0.3 * config["dropout"]
        peak = {"convnet": 0.4, "mobilenet_v2": 0.75, "resnet50": 0.85}.get(config["architecture"], 0.7)
        quality = peak * math.exp(-distance) * (1 - 0.02 * (config["freeze_depth"] - 3) ** 2)
        quality *= 1 - math.exp(-0.7 * epoch)
        if epoch == 5 and (trial % 5 == 0 or config["learning_rate"] > 5e-3):
            quality *= 0.6  # a spike, sudden and large
        quality = min(max(quality + self.rng.gauss(0, 0.01), 0.01), 0.99)
        metrics: dict[str, float] = {}
        for prefix, factor in (("val_", 1.0), ("train_", 1.05)):
            for name in measured(False, self.labels):
                row = METRICS[name]
                share = min(quality * factor, 0.99)
                metrics[prefix + name] = 0.02 + 0.7 * (1 - share) if not row.maximize else share
        seconds = self._seconds(config)
        ap = [min(1.0, max(0.0, quality + self.rng.gauss(0, 0.1))) for _ in range(self.labels)]
        return {
            "trial": trial,
            "epoch": epoch,
            "metrics": metrics,
            "label_ap": [round(value, 5) for value in ap],
            "learning_rate": config["learning_rate"],
            "gradient_norm": 1 / (epoch + 1) + 20 * config["learning_rate"],
            "seconds": {"prefix": 0.0, "train": round(seconds * 0.8, 4), "validate": round(seconds * 0.2, 4)},
            "parameters": int(1e6 * COST.get(config["architecture"], 3.0) * (6 - config["freeze_depth"])),
            "worker": f"host:{1000 + worker}",
        }


def provenance_of(labels: int, seed: int) -> dict[str, Any]:
    """The part that plots and reports read: classes, split sizes, label counts, trivial predictors."""
    rng = random.Random(seed)
    images = {"train": 700, "validation": 200, "test": 100}
    shares = [0.6 / (1 + rank) + 0.02 for rank in range(labels)]
    counts = {split: [max(1, round(share * total)) for share in shares] for split, total in images.items()}
    support = [sum(counts[split][label] for split in images) for label in range(labels)]
    together = [
        [
            support[a] if a == b else min(support[a], support[b]) // (2 + rng.randrange(1 + min(a, b) + 3))
            for b in range(labels)
        ]
        for a in range(labels)
    ]
    cooccurrence = [[together[min(a, b)][max(a, b)] for b in range(labels)] for a in range(labels)]
    trivial = {
        name: {metric_name: 2.0 if metric_name == "loss" else value for metric_name in measured(False, labels)}
        for name, value in (("nothing", 0.05), ("most_frequent_label", 0.12), ("label_frequencies", 0.1))
    }
    return {
        "thaw": "0.1.0",
        "python": "3.11.7",
        "packages": {"torch": "2.9.0"},
        "git_revision": "0123456789ab",
        "hardware": {"machine": "x86_64", "processor": "a processor", "cpus": 2, "memory": 8 * 2**30, "gpus": []},
        "seed": seed,
        "precision": "fp32",
        "data": {
            "fingerprint": "0" * 32,
            "classes": [f"label {chr(97 + label % 26)}{label}" for label in range(labels)],
            "images": images,
            "rejected": 0,
            "labels": {
                "counts": counts,
                "per_image": {split: {"1": total * 3 // 4, "2": total // 4} for split, total in images.items()},
                "cooccurrence": cooccurrence,
            },
        },
        "trivial": trivial,
    }
