"""Configurations that are neither an algorithm's nor purely random: the first ones of a search, and neighbours.

Both are drawn like Optuna's trials: a space asks a source of values (:class:`thaw.spaces.parameters.Suggests`) for one
hyperparameter after the other, so that conditions, steps and orders hold automatically.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from typing import Any

from thaw.spaces import STAGES, SearchSpace, Value
from thaw.trainables.seeding import derive_seed

HEADS = 2
"""How often the head of each network is tried at the beginning."""

CHANGED = 0.6
"""Probability that a neighbour differs in a range."""
OTHER = 0.15
"""The same for a choice and for the freeze depth, which are larger steps."""
STEP = 0.12
"""Standard deviation of a step in a range, as a share of it."""


def first_configurations(space: SearchSpace, fewest: int, most: int, seed: int) -> list[dict[str, Value]]:
    """Initial configurations: heads first, as they cost least, then each architecture at each other depth in turn.

    The head of each network is tried :data:`HEADS` times, unless these would be more than half of `most`: a second
    learning rate for it costs next to nothing. Every other hyperparameter is spread evenly over its range, within the
    heads of a network and within the rest: a Latin hypercube (McKay, Beckman and Conover, "A Comparison of Three
    Methods for Selecting Values of Input Variables", Technometrics 1979).

    Args:
        fewest, most: number of configurations; between them, as many as there are places to try.
        seed: seed of the search.
    """
    places, rng = _places(space), random.Random(derive_seed(seed, "first configurations"))
    heads = [place for place in places if place.get("freeze_depth") == STAGES]
    thawed = [place for place in places if place not in heads] or heads
    tries = HEADS if HEADS * len(heads) <= most // 2 else 1
    turns = zip(*(_spread(space, tries * [head], rng) for head in heads), strict=True)
    first = [values for turn in turns for values in turn]
    rest = max(fewest - len(first), len(thawed))
    return [*first, *_spread(space, list(islice(cycle(thawed), rest)), rng)][:most]


def _spread(space: SearchSpace, places: Sequence[Mapping[str, Value]], rng: random.Random) -> list[dict[str, Value]]:
    """A configuration for each place (fixed values); all other values form a Latin hypercube."""
    count = len(places)
    strata = {name: rng.sample(range(count), count) for name in space.parameters}
    return [
        space.suggest(_Shares(place, {name: (s[number] + 0.5) / count for name, s in strata.items()}))
        for number, place in enumerate(places)
    ]


def _places(space: SearchSpace) -> list[dict[str, Value]]:
    """Each architecture at each freeze depth, heads first."""
    depth = space.parameters.get("freeze_depth")
    depths: Sequence[int | None] = [None]
    if depth is not None:
        depths = [number for number in range(STAGES, -1, -1) if number in depth]
    names = [str(name) for name in space.options("architecture")]
    found: list[dict[str, Value]] = []
    for position, number in enumerate(depths):
        for name in names:
            place: dict[str, Value] = {"architecture": name}
            if number is not None and space.active("freeze_depth", place):
                found.append({**place, "freeze_depth": number})
            elif not position:
                found.append(place)
    return found


class _Shares:
    """Returns fixed values where given, and otherwise the value at a given share of the range."""

    def __init__(self, fixed: Mapping[str, Value], shares: Mapping[str, float]) -> None:
        self._fixed, self._shares = fixed, shares

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return _within(_unscaled(self._shares[name], low, high, log), low, high, step)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        if name in self._fixed:
            return int(self._fixed[name])
        return int(_within(_unscaled(self._shares[name], low, high, log), low, high, step))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        return self._fixed.get(name, choices[int(self._shares[name] * len(choices))])


class Neighbour:
    """Gives values near those of a whole configuration."""

    def __init__(self, config: Mapping[str, Any], rng: random.Random) -> None:
        self._config, self._rng = config, rng

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        return self._near(name, low, high, step, log)

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        if name != "freeze_depth":
            return int(self._near(name, low, high, step, log))
        moved = self._rng.choice((-step, step)) if self._rng.random() < OTHER else 0
        return int(_within(self._config[name] + moved, low, high, step))

    def suggest_categorical(self, name: str, choices: Any) -> Any:
        value = self._config[name]
        return self._rng.choice(choices) if value not in choices or self._rng.random() < OTHER else value

    def _near(self, name: str, low: float, high: float, step: float | None, log: bool) -> float:
        # An inactive hyperparameter has its default, which may lie outside its range.
        value = min(max(float(self._config[name]), low), high)
        if self._rng.random() < CHANGED:
            share = _share(value, low, high, log) + self._rng.gauss(0.0, STEP)
            value = _unscaled(min(max(share, 0.0), 1.0), low, high, log)
        return _within(value, low, high, step)


def _share(value: float, low: float, high: float, log: bool) -> float:
    if log:
        return math.log(value / low) / math.log(high / low)
    return (value - low) / (high - low)


def _unscaled(share: float, low: float, high: float, log: bool) -> float:
    if share in (0.0, 1.0):
        return high if share else low
    value = low * (high / low) ** share if log else low + share * (high - low)
    # The middle of 1e-6 and 1e-4 is 1e-5, not 9.999999999999999e-06.
    return float(f"{value:.12g}")


def _within(value: float, low: float, high: float, step: float | None) -> float:
    """The nearest value in a range."""
    if step is not None:
        # The last step may end below the bound.
        steps = min(round((value - low) / step), math.floor((high - low) / step + 1e-9))
        value = round(low + steps * step, 12)
    return min(max(value, low), high)
