"""Short measurements: what an epoch costs, which precision is faster, and how long one image takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import replace

import torch

from thaw.search.settings.config import SearchConfig
from thaw.spaces import STAGES, ConfigError, TrialConfig
from thaw.trainables.context import RunContext
from thaw.trainables.data.image_store import ImageStore
from thaw.trainables.data.splits import Split
from thaw.trainables.device import default_device, precisions
from thaw.trainables.messages import EpochRow
from thaw.trainables.networks.backbone import Backbone, resolve
from thaw.trainables.training.loop import Training, train

BATCHES = 3
WARM_UP, REPEATS = 5, 25
"""Passes of a network with one image that are not measured, and that are."""

WORTHWHILE = 0.9
"""A less exact precision is chosen if it takes less than this share of the time of a more exact one."""


def measure_epochs(config: SearchConfig, context: RunContext) -> dict[tuple[str, int], float]:
    """(architecture, freeze depth) → seconds of an epoch with nothing stored, for every pair of the space."""
    images = context.images.open()
    torch.set_num_threads(config.resources.cpu)
    return {
        (name, depth): _epoch_seconds(config, context, images, name, depth)
        for name in map(str, config.search_space.options("architecture"))
        for depth in freeze_depths(config, name)
    }


def choose_precision(config: SearchConfig, context: RunContext) -> dict[str, str]:
    """Architecture → ``fp32``, or ``tf32`` or ``bf16`` if clearly faster on the device that runs trials.

    Networks of large dense convolutions get twice as fast on processors and GPUs with bf16 units, small depthwise ones
    may get slower, so each is measured separately, at the smallest freeze depth of the space.
    """
    device = default_device(config.resources.gpu or 0)
    images = context.images.open()
    torch.set_num_threads(config.resources.cpu)
    chosen = {}
    for name in map(str, config.search_space.options("architecture")):
        depth = min(freeze_depths(config, name))
        seconds = {
            precision: _epoch_seconds(config, replace(context, precision=precision), images, name, depth)
            for precision in precisions(device)
        }
        chosen[name] = _worthwhile(seconds)
    return chosen


@torch.no_grad()
def measure_latency(config: SearchConfig, context: RunContext) -> dict[str, float]:
    """Architecture → seconds of its network for one image, in float32 and with its widest head, where trials run.

    The median of `REPEATS` passes after a few that warm up. It is measured once for a whole run, so that the figure of
    a network is the same in all trials, and in a session on another machine.
    """
    device = default_device(config.resources.gpu or 0)
    torch.set_num_threads(config.resources.cpu)
    image = torch.zeros(1, 3, context.images.size, context.images.size, device=device)
    units = max(int(value) for value in config.search_space.options("head_units"))
    return {
        name: _seconds_of_an_image(resolve(name, config.weights, context.images.size), context, units, image)
        for name in map(str, config.search_space.options("architecture"))
    }


def _seconds_of_an_image(backbone: Backbone, context: RunContext, units: int, image: torch.Tensor) -> float:
    head = backbone.head(context.labels.shape[1], units, 0.0)
    network = torch.nn.Sequential(*backbone.random_layers().values(), head).to(image.device).eval()
    seconds = []
    for _ in range(WARM_UP + REPEATS):
        started = time.perf_counter()
        # Brings the result to the processor, which waits for the device.
        network(image).cpu()
        seconds.append(time.perf_counter() - started)
    return round(statistics.median(seconds[WARM_UP:]), 6)


def _worthwhile(seconds: Mapping[str, float]) -> str:
    """Of precisions, most exact first: the last one that is clearly faster than the previous choice."""
    chosen = next(iter(seconds))
    for precision in seconds:
        if seconds[precision] < WORTHWHILE * seconds[chosen]:
            chosen = precision
    return chosen


def freeze_depths(config: SearchConfig, architecture: str) -> list[int]:
    """The freeze depths that the space allows for one architecture."""
    space = config.search_space
    if not space.active("freeze_depth", {"architecture": architecture}):
        return [0]
    parameter = space.parameters.get("freeze_depth")
    if parameter is None:
        return [int(value) for value in space.options("freeze_depth")]
    return [depth for depth in range(STAGES + 1) if depth in parameter]


def _epoch_seconds(
    config: SearchConfig, context: RunContext, images: ImageStore, architecture: str, depth: int
) -> float:
    """Train and validate on a few batches, once to warm up and twice to measure; the rest is arithmetic.

    Raises:
        ConfigError: the network gives no finite loss, as with damaged weights.
    """
    trial: TrialConfig = config.search_space.config({"architecture": architecture, "freeze_depth": depth})
    # A tiny learning rate, so that nothing diverges here, whatever the space is.
    trial = trial.model_copy(update={"epochs": 3, "patience": 0, "learning_rate": 1e-6})
    split = context.split
    few = BATCHES * trial.batch_size
    sample = Split(split.train[:few], split.validation[:few], split.test[:0])
    live = replace(context, split=sample, cache=replace(context.cache, activations="off"))
    training = Training(trial, live, images, default_device(config.resources.gpu or 0))
    rows = [row for row in list(train(training))[1:] if isinstance(row, EpochRow)]
    if not rows:
        rule = f"{architecture} at freeze depth {depth} gives no finite loss on the first images, hardly trained"
        raise ConfigError(f"{rule}; check its weights", "weights")
    training_seconds, validate = (min(row.seconds[phase] for row in rows) for phase in ("train", "validate"))
    return training_seconds * len(split.train) / len(sample.train) + validate * len(split.validation) / len(
        sample.validation
    )
