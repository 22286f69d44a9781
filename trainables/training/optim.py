"""Optimisers, and the learning rate as a pure function of the step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from thaw.spaces.trial import TrialConfig

OPTIMIZERS: dict[str, Callable[[TrialConfig], tuple[type[torch.optim.Optimizer], dict[str, Any]]]] = {
    "adamw": lambda config: (torch.optim.AdamW, {}),
    "adam": lambda config: (torch.optim.Adam, {}),
    "sgd": lambda config: (torch.optim.SGD, {"momentum": config.momentum, "nesterov": config.momentum > 0}),
}
"""Weight decay is decoupled in adamw (Loshchilov & Hutter 2019) and an L2 penalty in adam and sgd."""

FUSED_ON = ("cpu", "cuda")


def build_optimizer(
    config: TrialConfig, head: Iterable[nn.Parameter], backbone: Iterable[nn.Parameter]
) -> torch.optim.Optimizer:
    """The configuration's optimiser over two groups of parameters: the head, and the thawed part of the backbone.

    Args:
        config: optimiser, learning rates, weight decay and momentum are used.
        head: parameters trained at ``learning_rate``.
        backbone: parameters trained at ``learning_rate * backbone_lr_scale``; may be empty.
    """
    groups = [{"params": list(head), "lr_scale": 1.0}, {"params": list(backbone), "lr_scale": config.backbone_lr_scale}]
    return optimizer_over(config, groups)


def optimizer_over(config: TrialConfig, groups: Sequence[dict[str, Any]]) -> torch.optim.Optimizer:
    """The configuration's optimiser over parameter groups such as those of ``training/groups.py``.

    The fused kernels (a step is 1.3 to 2 times as fast) ignore the strides of parameters and state. So a state that is
    saved and loaded again must have the strides of its parameter; otherwise training goes wrong.
    """
    for group in groups:
        group["lr"] = config.learning_rate * group["lr_scale"]
    parameters = [parameter for group in groups for parameter in group["params"]]
    fused = all(p.is_floating_point() and p.device.type in FUSED_ON for p in parameters)
    optimizer, options = OPTIMIZERS[config.optimizer](config)
    return optimizer(list(groups), weight_decay=config.weight_decay, fused=fused, **options)  # type: ignore[call-arg]


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The state as tensors named ``parameter.entry``, parameters numbered over all groups; empty before any step."""
    return {
        f"{parameter}.{entry}": value
        for parameter, entries in optimizer.state_dict()["state"].items()
        for entry, value in entries.items()
        if value is not None
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    """Load the state that :func:`optimizer_tensors` returned, whatever the strides of its tensors."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        number, _, entry = name.partition(".")
        parameter = parameters[int(number)]
        restrided = torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value
        state.setdefault(int(number), {})[entry] = restrided
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def _cosine(start: float, end: float, progress: float) -> float:
    """From `start` to `end` along half a cosine wave as `progress` goes from 0 to 1."""
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2


def _one_cycle(progress: float, rise: float = 0.3, start: float = 1 / 25, end: float = 1e-4) -> float:
    """Up to 1 over the first 30 %, then down to almost 0 (Smith & Topin 2017, with cosines, not straight lines)."""
    if progress < rise:
        return _cosine(start, 1.0, progress / rise)
    return _cosine(1.0, end, (progress - rise) / (1 - rise))


SCHEDULES: dict[str, Callable[[float], float]] = {
    "constant": lambda progress: 1.0,
    "cosine": lambda progress: _cosine(1.0, 0.0, progress),
    "one_cycle": _one_cycle,
}
"""Schedules by name: fraction of the training done, in [0, 1] → fraction of the peak learning rate."""


def learning_rate_factor(config: TrialConfig, step: int, steps_per_epoch: int) -> float:
    """The learning rate of one step as a fraction of the peak: the schedule over all epochs, times the warm-up.

    It depends on the step alone, so that a trial that is stopped and resumed continues exactly.

    Args:
        config: schedule, epochs and warm-up are used. The warm-up rises by the same amount at each step, from one such
            amount at the first step to the full rate at its last.
        step: number of steps already taken; 0 for the first step of the training.
        steps_per_epoch: at least 1.

    Returns:
        A number in [0, 1].
    """
    warmup_steps = config.warmup * steps_per_epoch
    warmup = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    return warmup * SCHEDULES[config.schedule](step / (config.epochs * steps_per_epoch))


def set_learning_rate(optimizer: torch.optim.Optimizer, config: TrialConfig, step: int, steps_per_epoch: int) -> float:
    """Set the learning rates of an optimiser of :func:`build_optimizer` for `step`; returns the head's."""
    rate = config.learning_rate * learning_rate_factor(config, step, steps_per_epoch)
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]
    return rate
