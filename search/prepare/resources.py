"""Available processors and GPUs, and how many trials fit on them at once."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from thaw.search.settings.config import SearchConfig
from thaw.spaces import STAGES, ConfigError
from thaw.spaces.words import counted
from thaw.trainables.device import default_precision


@dataclass(frozen=True)
class Available:
    """Processors and GPUs of one machine."""

    cpus: int
    gpus: int
    name: str = "this machine"

    def fit(self, cpu: int, gpu: float) -> int:
        """How many trials run here at once. A share of 0.4 fits twice on each GPU: a trial is never on two."""
        trials = self.cpus // cpu
        return min(trials, int(1 / gpu + 1e-9) * self.gpus) if gpu else trials


def available() -> list[Available]:
    """What a search may use: the nodes of the Ray instance that this process joined or started, else this machine."""
    ray = sys.modules.get("ray")
    if ray is not None and ray.is_initialized():
        return [
            Available(int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0)), node_name(node))
            for node in ray.nodes()
            if node["Alive"]
        ]
    return [this_machine()]


def this_machine() -> Available:
    """What this process may use, given affinity, container limits and `CUDA_VISIBLE_DEVICES`."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return Available(cpus, torch.cuda.device_count())


def node_name(node: dict) -> str:
    """The name of a node of Ray's list in errors; several may share a machine."""
    return f"{node['NodeManagerHostname']}:{node['NodeManagerPort']}"


def resolve_resources(config: SearchConfig, nodes: Sequence[Available]) -> SearchConfig:
    """The configuration with GPU share, precision and concurrency filled in.

    Args:
        config: as loaded.
        nodes: the available nodes; a trial runs on one of them.

    Raises:
        ConfigError: a trial requests more than any node has, or heads cannot be trained together.
    """
    _check_heads(config)
    cpu = config.resources.cpu
    gpu = config.resources.gpu if config.resources.gpu is not None else float(any(node.gpus for node in nodes))
    fit = config.resources.heads_per_trial * sum(node.fit(cpu, gpu) for node in nodes)
    if not fit:
        _refuse(cpu, gpu, nodes)
    requested = config.search.concurrency
    if requested is not None and requested > fit:
        raise ConfigError(
            f"only {counted(fit, 'trial fits', 'trials fit')} at once, got {requested}; lower it or the resources",
            "search.concurrency",
        )
    return config.model_copy(
        update={
            "resources": config.resources.model_copy(update={"gpu": gpu}),
            "precision": config.precision or default_precision(gpu),
            "search": config.search.model_copy(
                update={"concurrency": requested or min(fit, config.trials), "trials": config.trials}
            ),
        }
    )


def _check_heads(config: SearchConfig) -> None:
    """A head takes little memory, so that many of them fit where one trial does; a thawed network does not."""
    depths = {*config.search_space.options("freeze_depth")}
    if config.resources.heads_per_trial > 1 and depths != {STAGES}:
        raise ConfigError(
            f"only heads are trained together, so freeze_depth must be {STAGES} in all trials, got "
            f"{', '.join(map(str, sorted(depths)))}; search heads alone, or set this to 1",
            "resources.heads_per_trial",
        )


def _refuse(cpu: int, gpu: float, nodes: Sequence[Available]) -> None:
    """Say which resource no node has enough of, and what is available."""
    several = "; ".join(
        f"{node.name}: {counted(node.cpus, 'processor')}, {counted(node.gpus, 'GPU')}" for node in nodes
    )
    where = f" on one node ({several})" if len(nodes) > 1 else ""
    requests: list[tuple[str, float, int, str]] = [
        ("cpu", cpu, max(node.cpus for node in nodes), "processor"),
        ("gpu", gpu, max(node.gpus for node in nodes), "GPU"),
    ]
    for name, amount, most, unit in requests:
        if amount > most:
            there = f"there {'is' if most == 1 else 'are'} {counted(most, unit)}"
            raise ConfigError(f"a trial requests {amount:g}, {there}{where}; request less", f"resources.{name}")
    both = f"{counted(cpu, 'processor')} and {gpu:g} GPU{'' if gpu == 1 else 's'}"
    raise ConfigError(f"no node has {both} together{where}; request less", "resources")
