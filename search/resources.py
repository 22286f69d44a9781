"""What there is to compute with, and how many trials fit on it at once."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from search.config import SearchConfig
from spaces import ConfigError


@dataclass(frozen=True)
class Available:
    """Processors and GPUs of this machine."""

    cpus: int
    gpus: int


def available() -> Available:
    """What this process may use: affinity and container limits count, and `CUDA_VISIBLE_DEVICES`."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Available(cpus, torch.cuda.device_count())


def resolve_resources(config: SearchConfig, there: Available) -> SearchConfig:
    """The configuration with the GPU share and the concurrency filled in.

    Raises:
        ConfigError: a trial asks for more than there is.
    """
    cpu = config.resources.cpu
    gpu = config.resources.gpu if config.resources.gpu is not None else float(there.gpus > 0)
    asked: list[tuple[str, float, int, str]] = [
        ("cpu", cpu, there.cpus, "processors"),
        ("gpu", gpu, there.gpus, "GPUs"),
    ]
    for name, amount, has, unit in asked:
        if amount > has:
            raise ConfigError(f"a trial asks for {amount:g}, there are {has} {unit}; ask for less", f"resources.{name}")
    fit = there.cpus // cpu
    if gpu:
        # Ray does not split one trial over two GPUs: a share of 0.4 fits twice on each.
        fit = min(fit, int(1 / gpu + 1e-9) * there.gpus)
    wanted = config.search.concurrency
    if wanted is not None and wanted > fit:
        raise ConfigError(
            f"only {fit} trials fit at once, got {wanted}; lower it or the resources", "search.concurrency"
        )
    return config.model_copy(
        update={
            "resources": config.resources.model_copy(update={"gpu": gpu}),
            "search": config.search.model_copy(
                update={"concurrency": wanted or min(fit, config.trials), "trials": config.trials}
            ),
        }
    )
