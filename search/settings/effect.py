"""What a search file sets without any effect: allowed, as files are changed step by step, but said."""

from __future__ import annotations

from collections.abc import Iterator

from thaw.search.settings.schema import SchedulerConfig, SearchConfig

HALVING = ("asha", "asha_promotion")
"""The rules that have a reduction factor."""


def without_effect(config: SearchConfig) -> Iterator[str]:
    """A sentence for each key that has no effect next to the others."""
    space, scheduler = config.search_space, config.scheduler
    for name in space.idle():
        place, use = ("space", "searched") if name in space.parameters else ("training", "used")
        yield f"{place}.{name} has no meaning in any configuration of this space, so it is not {use}"
    epochs = max(int(value) for value in space.options("epochs"))
    if scheduler.type != "none" and epochs <= scheduler.grace_period > 1:
        yield f"scheduler.grace_period is {scheduler.grace_period}, so no trial of up to {epochs} epochs stops early"
    if scheduler.type not in HALVING and scheduler.reduction_factor != SchedulerConfig().reduction_factor:
        yield f"scheduler.reduction_factor has no meaning for {scheduler.type}, only for {' and '.join(HALVING)}"
    searched = space.options("architecture")
    for name in config.weights if isinstance(config.weights, dict) else ():
        if name not in searched:
            yield f"weights.{name} is for a network that this file does not search, so it is not used"
