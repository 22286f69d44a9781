"""The nodes of a cluster, checked before a search begins."""

from __future__ import annotations

import sys
import uuid
from importlib import import_module
from pathlib import Path
from typing import Any

from thaw.search.prepare.resources import node_name
from thaw.search.settings.config import SearchConfig
from thaw.spaces import ConfigError
from thaw.spaces.paths import expanded
from thaw.spaces.trial import is_local
from thaw.trainables.data.remote import is_remote

ANSWER_SECONDS = 300.0
"""Seconds that a node may take to start a worker and import torch."""


def check_nodes(config: SearchConfig) -> None:
    """Check that every node that can run a trial has our code, and sees output, images and weights where this one does.

    Does nothing if there is only one node, or Ray is not running.

    Raises:
        ConfigError: names the path and the nodes that do not see it.
    """
    ray = sys.modules.get("ray")
    if ray is None or not ray.is_initialized():
        return
    cpu, gpu = config.resources.cpu, config.resources.gpu or 0
    has = [(node, node["Resources"]) for node in ray.nodes() if node["Alive"]]
    if len(has) < 2:
        return
    nodes = {
        node["NodeID"]: node_name(node)
        for node, there in has
        if there.get("CPU", 0) >= cpu and there.get("GPU", 0) >= gpu
    }
    output = expanded(config.output).resolve()
    place = next(folder for folder in (output, *output.parents) if folder.is_dir())
    # A folder of that name may exist on every node; a new file in it is seen only by those that share it.
    token = place / f".thaw-{uuid.uuid4().hex}"
    token.touch()
    try:
        unseen = _ask(nodes, [str(token), *_inputs(config).values()])
    finally:
        token.unlink()
    for key, path in {"output": str(token), **_inputs(config)}.items():
        blind = [name for name, missing in unseen.items() if path in missing]
        if blind:
            seen = place if key == "output" else path
            rule = "must lie on a file system that all nodes share" if key == "output" else "must be there on all nodes"
            raise ConfigError(f"{seen} {rule}, not seen by {', '.join(blind)}; choose another location", key)


def _inputs(config: SearchConfig) -> dict[str, str]:
    """Key → path of everything that all nodes read."""
    place = config.data.images
    images = {"data.images": place} if place and not is_remote(place) else {}
    weights = config.weights if isinstance(config.weights, dict) else {}
    files = {f"weights.{name}": path for name, path in weights.items() if is_local(path)}
    return {**images, **files}


def _ask(nodes: dict[str, str], paths: list[str]) -> dict[str, list[str]]:
    """Name of a node → those of `paths` that it does not see."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    task: Any = ray.remote(num_cpus=0, max_retries=0)(_missing)
    asked = {
        task.options(scheduling_strategy=NodeAffinitySchedulingStrategy(id, soft=False)).remote(paths): name
        for id, name in nodes.items()
    }
    answered, silent = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
    if silent:
        names = ", ".join(asked[reference] for reference in silent)
        raise ConfigError(f"no answer within {ANSWER_SECONDS:g} s from {names}; repair or remove these nodes")
    unseen = {}
    for reference in answered:
        try:
            unseen[asked[reference]] = ray.get(reference)
        except ray.exceptions.RayError as error:
            reason = str(error).strip().splitlines()[-1]
            message = f"{asked[reference]} cannot run a trial: {reason}; install there what is installed here"
            raise ConfigError(message) from None
    return unseen


def _missing(paths: list[str]) -> list[str]:
    """Runs on each node: whether trials can be imported, and which of `paths` are missing."""
    import_module("thaw.trainables.trainable")
    return [path for path in paths if not Path(path).exists()]
