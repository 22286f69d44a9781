"""The provenance of a run, so that its results can be judged and reproduced."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from thaw.search.prepare.data_facts import SAMPLE, label_facts, spread
from thaw.search.prepare.preflight import Prepared
from thaw.search.version import __version__

PACKAGES = ("torch", "torchvision", "ray", "optuna", "timm", "numpy", "pillow", "scikit-learn")


def provenance(prepared: Prepared) -> dict[str, Any]:
    """The content of ``provenance.json``."""
    split, folds = prepared.context.split, prepared.context.folds
    return {
        "thaw": __version__,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "git_revision": _git_revision(),
        "hardware": _hardware(),
        "seed": prepared.config.search.seed,
        "precision": prepared.context.precision,
        "deterministic": prepared.context.deterministic,
        "weights": prepared.weights,
        **({"latency": dict(prepared.context.latency)} if prepared.context.latency else {}),
        "data": {
            "fingerprint": prepared.fingerprint,
            "split": split.digest,
            **({"folds": [[fold.digest for fold in seed] for seed in folds]} if folds else {}),
            "names": prepared.dataset.names_digest,
            "sample": spread(split.train, SAMPLE),
            "classes": list(prepared.dataset.classes),
            "images": {"train": len(split.train), "validation": len(split.validation), "test": len(split.test)},
            "single_label": prepared.context.single_label,
            "rejected": len(prepared.rejected),
            "grey": prepared.images.grey.to_dict(),
            "labels": label_facts(prepared.dataset.labels, split),
        },
        "trivial": _plain(prepared.trivial),
    }


def recorded_precision(recorded: Mapping[str, Any]) -> str | dict[str, str]:
    """The precision with which a run of this ``provenance.json`` continues: the one it began with.

    On a GPU, Thaw 0.1.0 called torch's default ``fp32``.
    """
    precision = recorded["precision"]
    if recorded.get("thaw") != "0.1.0" or not recorded.get("hardware", {}).get("gpus"):
        return precision
    names = {"fp32": "fp32 of 0.1.0"}
    if isinstance(precision, str):
        return names.get(precision, precision)
    return {architecture: names.get(name, name) for architecture, name in precision.items()}


def _plain(table: Mapping[str, Mapping[str, float]]) -> dict[str, dict[str, float]]:
    return {name: {metric: float(value) for metric, value in row.items()} for name, row in table.items()}


def _git_revision() -> str | None:
    """Revision of the folder in which the search was started; None if it is not a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def _hardware() -> dict[str, Any]:
    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else None
    return {
        "machine": platform.machine(),
        "processor": _processor(),
        "cpus": os.cpu_count(),
        "memory": memory,
        "gpus": gpus,
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()
